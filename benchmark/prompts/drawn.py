"""The prompts that a task gives a tokenizer, and what was left out of them."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from benchmark.prompts.encoding import EncodedPair, Misfit, PromptEncoder, PromptPair

# Of tasks whose pairs do not end: pairs in a row that were there before, or that the tokenizer
# does not fit, before a task is thought to have no more.
REPEATS_PER_PROMPT, MOST_MISFITS = 10, 5_000
N_REASONS, LONGEST_REASON = 3, 160


@dataclass
class Drawn:
    """Pairs as tokens, in their order, and a count of those that were left out.

    Attributes:
        pairs: what was taken.
        n_read: pairs that were looked at.
        rules: how many pairs broke which rule of the encoder.
        examples: a pair that broke it, in words.
        faults: every text that was at fault, in words.
        n_repeats: pairs that were there before.
    """

    pairs: list[tuple[PromptPair, EncodedPair]] = field(default_factory=list)
    n_read: int = 0
    n_repeats: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)

    def leave_out(self, misfit: Misfit) -> None:
        """Count a pair that the tokenizer does not fit."""
        self.rules[misfit.rule] += 1
        self.examples.setdefault(misfit.rule, str(misfit))
        self.faults.update(misfit.faults)

    def left_out(self, split: str) -> str:
        """How many pairs were left out and why, in words; nothing if none was."""
        parts = []
        if self.rules:
            reasons = (
                f"{n} because {_shortened(self.examples[rule])}"
                for rule, n in self.rules.most_common(N_REASONS)
            )
            parts.append(
                f"{self.rules.total()} of {self.n_read} {split} rows do not fit the tokenizer and "
                f"are left out: {'; '.join(reasons)}"
            )
        if self.n_repeats:
            parts.append(f"{self.n_repeats} of {self.n_read} {split} rows repeat another")
        return ". ".join(parts)


def drawn(
    pairs: Iterable[PromptPair],
    encoder: PromptEncoder,
    n_prompts: int,
    identity: Callable[[PromptPair], Hashable],
    *,
    ends: bool,
) -> Drawn:
    """The first pairs that the tokenizer fits, none twice.

    Args:
        pairs: in the order in which they are wanted.
        encoder: of the tokenizer.
        n_prompts: how many are wanted; there may be fewer.
        identity: what two pairs share if only one of them is wanted.
        ends: whether `pairs` comes to an end; otherwise it is given up after many in vain.
    """
    found, known = Drawn(), set[Hashable]()
    repeats = misfits = 0
    for pair in pairs:
        if not ends and (
            repeats > REPEATS_PER_PROMPT * (10 + len(known)) or misfits >= MOST_MISFITS
        ):
            break
        found.n_read += 1
        if identity(pair) in known:
            repeats += 1
            found.n_repeats += 1
            continue
        try:
            encoded = encoder.encode(pair)
        except Misfit as misfit:
            misfits += 1
            found.leave_out(misfit)
            continue
        known.add(identity(pair))
        found.pairs.append((pair, encoded))
        repeats = misfits = 0
        if len(known) == n_prompts:
            break
    return found


def _shortened(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}..."

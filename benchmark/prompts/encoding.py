"""From a pair of texts to a pair of token sequences, with any tokenizer.

A clean and a corrupted prompt must align token by token, and every answer must begin with a token
that no other answer begins with. A pair that a tokenizer does not fit raises `Misfit`, which says
which words are at fault, so that a task can draw another pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from benchmark.errors import UserError


@dataclass(frozen=True)
class PromptPair:
    """A clean and a corrupted prompt, as text.

    Attributes:
        clean: the prompt whose last token is read.
        corrupted: its counterfactual, to be of the same number of tokens.
        answers: right continuations of the clean prompt, with their leading space.
        wrong: wrong ones, written likewise.
        corrupted_answers: right continuations of the corrupted prompt, or none if it has none.
        pieces: spans that must become exactly these tokens: `(" Mary",)`, `(" 17", "32")`.
        subject: the words of the clean prompt that say what it is about, for causal tracing.
        template: which of the task's templates it was made from.
    """

    clean: str
    corrupted: str
    answers: tuple[str, ...]
    wrong: tuple[str, ...]
    corrupted_answers: tuple[str, ...] = ()
    pieces: tuple[tuple[str, ...], ...] = ()
    subject: str = ""
    template: str = ""


@dataclass(frozen=True)
class EncodedPair:
    """The tokens of a `PromptPair`.

    Attributes:
        clean, corrupted: the prompts, with the start token.
        answers, wrong, corrupted_answers: the first token of each answer, which is what counts.
        whole_answers: all tokens of each right answer.
        subject: a half-open range of positions, or (0, 0).
    """

    clean: list[int]
    corrupted: list[int]
    answers: list[int]
    wrong: list[int]
    corrupted_answers: list[int]
    whole_answers: list[list[int]]
    subject: tuple[int, int]


class Misfit(Exception):  # noqa: N818 - part of the normal course, not an error
    """A pair that a tokenizer does not fit.

    Attributes:
        rule: what is wrong, the same for all pairs of which it is.
        faults: the same in words, for each text that is at fault.
    """

    def __init__(self, rule: str, *words: str, than: str | None = None) -> None:
        compared = "" if than is None else f" {than!r}"
        self.rule, self.faults = rule, [f"{word!r} {rule}{compared}" for word in words]
        super().__init__("; ".join(self.faults))


class PromptEncoder:
    """Encodes pairs with one tokenizer, remembering the texts it has seen.

    Args:
        tokenizer: any Hugging Face tokenizer.
        prepend_bos: begin every prompt with the BOS token (or EOS, if the tokenizer has no BOS),
            once: one that is typed in a text is not doubled.

    Raises:
        UserError: `prepend_bos` is asked of a tokenizer with neither.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prepend_bos: bool) -> None:
        self.tokenizer = tokenizer
        self.start = [_bos(tokenizer)] if prepend_bos else []
        self.typed_start = "".join(tokenizer.convert_ids_to_tokens(self.start))
        self.ids = lru_cache(maxsize=20_000)(self._ids)

    def encode(self, pair: PromptPair) -> EncodedPair:
        """The tokens of a pair.

        Raises:
            Misfit: the tokenizer does not fit it.
        """
        for pieces in pair.pieces:
            self._check_pieces(pieces)
        pair = replace(
            pair,
            clean=pair.clean.removeprefix(self.typed_start),
            corrupted=pair.corrupted.removeprefix(self.typed_start),
        )
        clean, corrupted = self._known(pair.clean), self._known(pair.corrupted)
        self._check_aligned(pair, clean, corrupted)
        right = self._continuations(pair.clean, clean, pair.answers)
        wrong = self._continuations(pair.clean, clean, pair.wrong)
        flipped = self._continuations(pair.corrupted, corrupted, pair.corrupted_answers)
        # Some tokenizers (Llama 3) put the space before a number in a token of its own.
        space = self._shared_space(right + wrong + flipped)
        first_of = len(space)
        if len({ids[first_of] for ids in right + wrong}) != len(right + wrong):
            raise Misfit("begins as another answer does", *pair.answers, *pair.wrong)
        if len({ids[first_of] for ids in flipped}) != len(flipped):
            raise Misfit("begins as another answer does", *pair.corrupted_answers)
        return EncodedPair(
            clean=self.start + clean + space,
            corrupted=self.start + corrupted + space,
            answers=[ids[first_of] for ids in right],
            wrong=[ids[first_of] for ids in wrong],
            corrupted_answers=[ids[first_of] for ids in flipped],
            whole_answers=[list(ids[first_of:]) for ids in right],
            subject=self._span(pair.clean, clean, pair.subject),
        )

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def _known(self, text: str) -> list[int]:
        ids = self.ids(text)
        unknown = self.tokenizer.unk_token_id
        if unknown in ids:
            words = [word for word in text.split() if unknown in self.ids(f" {word}")]
            raise Misfit("is unknown", *(words or [text]))
        return list(ids)

    def _inside(self, text: str) -> tuple[int, ...]:
        """The tokens of a text that does not begin its prompt, as some tokenizers care."""
        before, joined = self.ids("a"), self.ids("a" + text)
        return joined[len(before) :] if joined[: len(before)] == before else self.ids(text)

    def _check_pieces(self, pieces: tuple[str, ...]) -> None:
        joined, apart = self._inside("".join(pieces)), [self._inside(piece) for piece in pieces]
        unknown = self.tokenizer.unk_token_id
        single = all(len(ids) == 1 for ids in apart) and unknown not in joined
        if not single or list(joined) != [ids[0] for ids in apart]:
            why = "is not a single token" if len(pieces) == 1 else f"is not {len(pieces)} tokens"
            raise Misfit(why, "".join(pieces))

    def _check_aligned(self, pair: PromptPair, clean: list[int], corrupted: list[int]) -> None:
        """Equal lengths, and words that differ are of as many tokens."""
        if clean == corrupted:
            raise Misfit("is its own corrupted prompt", pair.clean)
        words, others = pair.clean.split(), pair.corrupted.split()
        if len(words) == len(others):
            for word, other in zip(words, others, strict=True):
                if len(self.ids(f" {word}")) != len(self.ids(f" {other}")):
                    raise Misfit("is not of as many tokens as", word, than=other)
        if len(clean) != len(corrupted):
            raise Misfit("is not of as many tokens as", pair.clean, than=pair.corrupted)

    def _continuations(
        self, prompt: str, ids: list[int], answers: Sequence[str]
    ) -> list[tuple[int, ...]]:
        return [self._continuation(prompt, ids, answer) for answer in answers]

    def _continuation(self, prompt: str, ids: list[int], answer: str) -> tuple[int, ...]:
        """The tokens that an answer adds to the prompt."""
        # The last word stands for the whole prompt, but for tokenizers that join spaces.
        tail = prompt[prompt.rfind(" ") :] if " " in prompt else prompt
        for before in (tail, prompt):
            n_before = len(self.ids(before))
            joined = self.ids(before + answer)
            if joined[:n_before] == tuple(ids[-n_before:]) and len(joined) > n_before:
                return self._without_unknown(answer, joined[n_before:])
        # Digits may merge with those before them (GPT-2: " 1700"), but are tokens by themselves.
        alone = self._inside(answer)
        if len(alone) != 1 or answer.startswith(" "):
            raise Misfit("does not continue its prompt", answer)
        return self._without_unknown(answer, alone)

    def _without_unknown(self, answer: str, ids: tuple[int, ...]) -> tuple[int, ...]:
        if ids[0] == self.tokenizer.unk_token_id:
            raise Misfit("is unknown", answer)
        return ids

    def _shared_space(self, continuations: list[tuple[int, ...]]) -> list[int]:
        """The token of a bare space, if every answer begins with it and goes on."""
        first = {ids[0] for ids in continuations}
        if len(first) != 1 or min(map(len, continuations)) < 2:
            return []
        (token,) = first
        return [] if str(self.tokenizer.decode([token])).strip() else [token]

    def _span(self, prompt: str, ids: list[int], subject: str) -> tuple[int, int]:
        """The positions of the subject, the start token counted."""
        if not subject:
            return 0, 0
        begin = prompt.index(subject)
        end = begin + len(subject)
        # A word's token usually holds the space before it.
        begin -= prompt[:begin].endswith(" ")
        before, through = self.ids(prompt[:begin]), self.ids(prompt[:end])
        if list(through) != ids[: len(through)] or through[: len(before)] != before:
            raise Misfit("shares a token with its neighbours", subject)
        return len(self.start) + len(before), len(self.start) + len(through)


def _bos(tokenizer: PreTrainedTokenizerBase) -> int:
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if isinstance(token, int):
            return token
    raise UserError(
        f"the tokenizer of {tokenizer.name_or_path!r} has no BOS or EOS token; "
        "set task.prepend_bos=false"
    )

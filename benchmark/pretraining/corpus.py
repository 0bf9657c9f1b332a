"""The training texts of the zoo: many short texts of several sources, as one matrix each.

Which rows a training step sees depends on the seed and the step alone, so that training resumes
exactly. The matrices hold token ids, begun and ended by BOS and padded on the right.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.pretraining.vocabulary import word_level_tokenizer
from benchmark.seeds import derived_seed, generator

PADDING = -1
# Texts of each source that the vocabulary is read from; rare words recur in this many.
VOCABULARY_TEXTS = 5_000


@runtime_checkable
class TextSource(Protocol):
    """Anything that writes running text: a generated task (of its train split), or filler."""

    def text(self, draw: Random) -> str:
        """One short text."""
        ...


@runtime_checkable
class Rows(Protocol):
    """Texts of a training, of which each step sees some."""

    def step(self, step: int, n_texts: int) -> list[Int[Tensor, "texts longest"]]:
        """The texts of a training step in parts, which depend on its number alone."""
        ...

    def digest(self) -> str:
        """The SHA-256 of all texts."""
        ...


@dataclass(frozen=True)
class Corpus:
    """Texts of every source, and how often each is seen.

    Attributes:
        texts: token ids by source.
        share: how often a row comes from each source, in the order of `texts`.
        early_share: the same for the first half of `early_steps`; it fades into `share` over the
            second half.
        early_steps: steps of that.
        seed: seed of the choice of rows.
    """

    texts: dict[str, Int[Tensor, "texts longest"]]
    share: list[float]
    early_share: list[float]
    early_steps: int
    seed: int

    def step(self, step: int, n_texts: int) -> list[Int[Tensor, "texts longest"]]:
        """The texts of a training step: a shorter and a longer half, each trimmed."""
        draw = generator(self.seed, "texts of step", step)
        early = min(1.0, max(0.0, 2 - 2 * step / self.early_steps)) if self.early_steps else 0.0
        share = torch.tensor(self.share) * (1 - early) + torch.tensor(self.early_share) * early
        sources = share.multinomial(n_texts, replacement=True, generator=draw).tolist()
        matrices = list(self.texts.values())
        rows = torch.stack([_random_row(matrices[source], draw) for source in sources])
        length = (rows != PADDING).sum(1)
        halves = rows[length.argsort(stable=True)].chunk(2)
        return [half[:, : int((half != PADDING).sum(1).max())] for half in halves]

    def digest(self) -> str:
        """The SHA-256 of all texts and their sources, the same on every platform."""
        hasher = hashlib.sha256()
        for name, texts in self.texts.items():
            hasher.update(name.encode())
            hasher.update(texts.numpy().astype("<i4").tobytes())
        return hasher.hexdigest()


def make_corpus(
    shares: dict[str, float],
    early: dict[str, float],
    early_steps: int,
    tokenizer: PreTrainedTokenizerBase,
    n_texts: int,
    n_positions: int,
    seed: int,
) -> Corpus:
    """Write `n_texts` texts of every source that has a share.

    Raises:
        UserError: a share is negative, none is positive, or a source is unknown or not shared.
    """
    strangers = [name for name in early if name not in shares]
    if strangers:
        raise UserError(f"early names {strangers[0]}, which the mixture does not; give it a share")
    used = {name: share for name, share in shares.items() if share or early.get(name)}
    if not used or min([*shares.values(), *early.values()]) < 0 or not sum(used.values()):
        raise UserError("shares of the corpus must be 0 or more, and one of them above 0")
    if early and not any(early.values()):
        raise UserError("early has no share above 0; give one, or leave it empty")
    texts = {name: _encoded(name, tokenizer, n_texts, n_positions, seed) for name in used}
    at_first = {name: early.get(name, 0.0) for name in used} if early else used
    total, early_total = sum(used.values()), sum(at_first.values())
    return Corpus(
        texts=texts,
        share=[share / total for share in used.values()],
        early_share=[share / early_total for share in at_first.values()],
        early_steps=early_steps if early else 0,
        seed=seed,
    )


def zoo_tokenizer(sources: list[str], n_positions: int) -> PreTrainedTokenizerFast:
    """The tokenizer of all words of these sources."""

    def texts() -> Iterator[str]:
        for name in sources:
            yield from _texts(name, VOCABULARY_TEXTS, 0)

    return word_level_tokenizer(texts(), n_positions)


def _texts(name: str, n_texts: int, seed: int) -> Iterator[str]:
    group, _, option = name.partition("/")
    source = configured(group, option)
    if not isinstance(source, TextSource):
        raise UserError(f"{name} writes no text; name a generated task, or text/filler")
    draw = Random(derived_seed(seed, "training texts", name))
    return (source.text(draw) for _ in range(n_texts))


def _encoded(
    name: str, tokenizer: PreTrainedTokenizerBase, n_texts: int, n_positions: int, seed: int
) -> Int[Tensor, "texts longest"]:
    encoded = tokenizer(list(_texts(name, n_texts, seed)), add_special_tokens=False)["input_ids"]
    longest = max(map(len, encoded)) + 2
    if longest > n_positions:
        raise UserError(f"{name} has texts of {longest} tokens; the model has {n_positions}")
    end = tokenizer.eos_token_id
    rows = [[end, *ids, end] + [PADDING] * (longest - 2 - len(ids)) for ids in encoded]
    # Rows of all sources are stacked in a step, so all are as wide as the context.
    return torch.nn.functional.pad(
        torch.tensor(rows, dtype=torch.int32), (0, n_positions - longest), value=PADDING
    )


def _random_row(texts: Int[Tensor, "texts longest"], draw: torch.Generator) -> Tensor:
    return texts[torch.randint(len(texts), (), generator=draw)]

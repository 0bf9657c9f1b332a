"""The tokens of each prompt that a run computes anew, from the first that differs on.

By the causal mask all before them is the same as in another run, whose keys and values are read. A
run holds these tokens alone, those of all prompts one behind the other, so that the different
lengths of prompts cost nothing; in attention, queries stand in rows as wide as the longest.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# What a run holds: one batch of all tokens.
OfTokens = Float[Tensor, "any rows 1 tokens d"]


@dataclass(frozen=True, eq=False)
class Span:
    """A range of positions of each prompt.

    Attributes:
        index: its positions; shorter ranges repeat their last.
        prompts: the prompt of each token.
        columns: where each token stands in `index`.
    """

    index: Int[Tensor, "batch columns"]
    prompts: Int[Tensor, " tokens"]
    columns: Int[Tensor, " tokens"]

    @classmethod
    def of(cls, first: Int[Tensor, " batch"], last: Int[Tensor, " batch"]) -> "Span":
        """The positions `first` to `last`, both included, of each prompt."""
        width = int((last - first).max()) + 1
        index = first[:, None] + torch.arange(width, device=first.device)
        prompts, columns = (index <= last[:, None]).nonzero(as_tuple=True)
        return cls(index.minimum(last[:, None]), prompts, columns)

    @cached_property
    def positions(self) -> Int[Tensor, " tokens"]:
        """The position of each token in its prompt."""
        return self.index[self.prompts, self.columns]

    @cached_property
    def ends(self) -> Int[Tensor, " batch"]:
        """Which token is the last of each prompt."""
        return torch.bincount(self.prompts).cumsum(0) - 1

    def of_values(self, values: Float[Tensor, "any rows batch pos d"]) -> OfTokens:
        """What values at every position are at its tokens."""
        return _at(values, self._among(values))

    def written_into(
        self, values: Float[Tensor, "any some_rows batch pos d"], part: OfTokens
    ) -> Float[Tensor, "any rows batch pos d"]:
        """Values at every position, as often as `part` has rows, with those at its tokens."""
        times = part.shape[1] // values.shape[1]
        # One row serves all without a copy.
        one = values.shape[1] == 1
        every = values.expand(-1, times, -1, -1, -1) if one else values.repeat(1, times, 1, 1, 1)
        return _exchanged(every, self._among(values), part)

    def in_columns(self, part: OfTokens) -> Float[Tensor, "any rows batch columns d"]:
        """Its tokens in a row for each prompt, with zeros behind shorter ones."""
        rows = part.new_zeros(*part.shape[:2], *self.index.shape, part.shape[-1])
        return _exchanged(rows, self._in_rows, part)

    def of_columns(self, rows: Float[Tensor, "any rows batch columns d"]) -> OfTokens:
        """The other way round."""
        return _at(rows, self._in_rows)

    def between(
        self, start: Int[Tensor, " batch"], stop: Int[Tensor, " batch"]
    ) -> Bool[Tensor, " tokens"]:
        """Which of its tokens lie in the half-open range of each prompt."""
        at = self.positions
        return (at >= start[self.prompts]) & (at < stop[self.prompts])

    @property
    def _in_rows(self) -> Int[Tensor, " tokens"]:
        return self.prompts * self.index.shape[1] + self.columns

    def _among(self, values: Tensor) -> Int[Tensor, " tokens"]:
        return self.prompts * values.shape[3] + self.positions


def _at(values: Tensor, index: Tensor) -> Tensor:
    return values.flatten(2, 3).index_select(2, index)[:, :, None]


def _exchanged(values: Tensor, index: Tensor, part: Tensor) -> Tensor:
    exchanged = values.flatten(2, 3).index_copy(2, index, part.flatten(2, 3))
    return exchanged.unflatten(2, values.shape[2:4])

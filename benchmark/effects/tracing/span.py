"""The part of each prompt that a run computes anew, from the first token that differs on.

By the causal mask all before it is the same as in another run, whose keys and values are read. The
parts of a batch begin and end at other positions; shorter ones repeat their last, which nobody then
looks at.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from benchmark.forward.layers import positions_of
from benchmark.forward.values import at_positions
from benchmark.transformer.blocks import Positions, Tables
from benchmark.transformer.transformer import Transformer
from benchmark.transformer.weights import Rotary


@dataclass(frozen=True, eq=False)
class Span:
    """A range of positions of each prompt.

    Attributes:
        index: its positions.
        real: which of them are not the last one repeated.
    """

    index: Int[Tensor, "batch columns"]
    real: Bool[Tensor, "batch columns"]

    @classmethod
    def of(cls, first: Int[Tensor, " batch"], last: Int[Tensor, " batch"]) -> "Span":
        """The positions `first` to `last`, both included, of each prompt."""
        width = int((last - first).max()) + 1
        index = first[:, None] + torch.arange(width, device=first.device)
        return cls(index.minimum(last[:, None]), index <= last[:, None])

    @property
    def first(self) -> Int[Tensor, " batch"]:
        """Where it begins in each prompt."""
        return self.index[:, 0]

    def of_values(
        self, values: Shaped[Tensor, "*any batch pos d"]
    ) -> Shaped[Tensor, "*any batch columns d"]:
        """What is at its positions."""
        if values.shape[-2] == 1:
            return values.expand(*values.shape[:-2], self.index.shape[1], values.shape[-1])
        return at_positions(values, self.index)

    def written_into(
        self,
        values: Shaped[Tensor, "*any batch pos d"],
        part: Shaped[Tensor, "*any batch columns d"],
    ) -> Shaped[Tensor, "*any batch pos d"]:
        """Values with those at its positions exchanged."""
        whole = values.clone()
        prompts, columns = self.real.nonzero(as_tuple=True)
        whole[..., prompts, self.index[prompts, columns], :] = part[..., prompts, columns, :]
        return whole

    def between(
        self, start: Int[Tensor, " batch"], stop: Int[Tensor, " batch"]
    ) -> Bool[Tensor, "batch columns"]:
        """Which of its positions lie in the half-open range of each prompt."""
        return (self.index >= start[:, None]) & (self.index < stop[:, None])


class SpanPositions(Positions):
    """Queries at some positions; keys at all before the span, from another run, and in it."""

    def __init__(
        self,
        model: Transformer,
        tokens: Int[Tensor, "batch pos"],
        span: Span,
        queries: Int[Tensor, "batch reads"],
    ) -> None:
        super().__init__(tokens.shape[1], model.dtype, tokens.device)
        self._whole = positions_of(model, tokens)
        self.n_earlier = int(span.first.max())
        earlier = torch.arange(self.n_earlier, device=tokens.device).expand(len(tokens), -1)
        self._index = torch.cat([earlier, span.index], 1)
        self._keys = self._index[:, None]
        self._there = torch.cat([earlier < span.first[:, None], span.real], 1)[:, None]
        self._queries = self.read_at = queries

    def of_keys(self, rotary: Rotary) -> Tables:
        """Cosines and sines [batch, keys, d_rotary]."""
        cos, sin = self._whole.of_keys(rotary)
        return cos[self._index], sin[self._index]

    def of_queries(self, rotary: Rotary) -> Tables:
        """The same at the queries' positions."""
        cos, sin = self._whole.of_keys(rotary)
        return cos[self._queries], sin[self._queries]

    def _visible(self, window: int | None) -> Tensor:
        return super()._visible(window) & self._there

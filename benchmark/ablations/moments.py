"""Means and standard deviations of every source over prompts, in one pass over the data.

However many prompts there are, only as many run at once as memory allows, and only sums stay.

Position-wise statistics are those of Li & Janson (2024, section 1.3): positions that every prompt
has keep their own, the later ones are pooled into one row that all longer prompts use. (The
authors' code already pools the last position that every prompt has.)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.memory import prompts_that_fit
from benchmark.forward.passes import source_values
from benchmark.forward.values import SourceValues
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True, eq=False)
class Moments:
    """Per source and row of positions: mean and standard deviation of each coordinate."""

    mean: SourceValues
    deviation: SourceValues


def clean_tokens(batch: Batch) -> Tensor:
    """The clean prompts."""
    return batch.clean


def corrupted_tokens(batch: Batch) -> Tensor:
    """The corrupted prompts."""
    return batch.corrupted


def source_moments(
    model: Transformer,
    batches: Iterable[Batch],
    tokens_of: Callable[[Batch], Tensor],
    *,
    positional: bool,
    keep_first: bool,
) -> Moments:
    """Statistics over all real positions of all prompts (without position 0 if it is kept).

    With `positional` there is a row per position, and a last row pooled over the positions that
    not every prompt has; otherwise a single row. Sums are in float64. A batch is one pass if
    that takes no more than about 4 GB, else several (see `prompts_that_fit`).

    Raises:
        UserError: there are no batches, or no position to count.
    """
    total = _Sums()
    for padded in batches:
        whole = padded.trimmed()
        for part in whole.split(prompts_that_fit(model, whole.n_positions)):
            batch = part.trimmed()
            values = source_values(model, tokens_of(batch))
            total.add(values, _counted(batch, keep_first).cpu())
    return total.moments(positional, keep_first, model.stream_dtype)


def _counted(batch: Batch, keep_first: bool) -> Tensor:
    counted = batch.real.clone()
    counted[:, 0] &= not keep_first
    return counted


class _Sums:
    """Per position: how many prompts have it, on the CPU, and sums of values and their squares."""

    def __init__(self) -> None:
        self.count = torch.zeros(0)
        self.first: SourceValues | None = None
        self.second: SourceValues | None = None

    def add(self, values: SourceValues, counted: Tensor) -> None:
        weight = counted.double()
        there = weight.to(values.input.device)
        first = values.map(lambda x: _over_prompts(x, there))
        second = values.map(lambda x: _over_prompts(x, there, squared=True))
        if self.first is None or self.second is None:
            self.count, self.first, self.second = weight.sum(0), first, second
            return
        self.count = _add_padded(self.count, weight.sum(0), dim=0)
        self.first = _combine(self.first, first)
        self.second = _combine(self.second, second)

    def moments(self, positional: bool, keep_first: bool, dtype: torch.dtype) -> Moments:
        if self.first is None or self.second is None or not bool(self.count.any()):
            raise UserError("means need at least one prompt with a position that may be ablated")
        groups = _position_groups(self.count, positional)
        count = groups @ self.count
        # A row that no prompt fills (the kept first position) is never read; keep it finite.
        weight = (groups / count.clamp(min=1)[:, None]).to(self.first.input.device)

        def grouped(sums: SourceValues) -> SourceValues:
            return replace(sums.map(lambda x: weight @ x), keep_first=keep_first)

        mean = grouped(self.first)
        pairs = zip(grouped(self.second).tensors, mean.tensors, strict=True)
        variance = [(square - m.square()).clamp(min=0) for square, m in pairs]
        deviation = SourceValues(*(v.sqrt().to(dtype) for v in variance), keep_first=keep_first)
        return Moments(mean.map(lambda x: x.to(dtype)), deviation)


def _over_prompts(
    x: Float[Tensor, "*any batch pos d"], weight: Float[Tensor, "batch pos"], squared: bool = False
) -> Float[Tensor, "*any 1 pos d"]:
    """Sums over prompts in float64, one source at a time: doubles of all of them take too much."""
    if x.dim() > weight.dim() + 2:
        return torch.stack([_over_prompts(source, weight, squared) for source in x])
    exact = x.double()
    exact = exact.square() if squared else exact
    return exact.mul(weight[..., None]).sum(-3, keepdim=True)


def _combine(old: SourceValues, new: SourceValues) -> SourceValues:
    pairs = zip(old.tensors, new.tensors, strict=True)
    added = (_add_padded(a, b, dim=-2) for a, b in pairs)
    return SourceValues(*added, keep_first=old.keep_first)


def _add_padded(a: Tensor, b: Tensor, dim: int) -> Tensor:
    """The sum of two tensors of which one may have more positions."""
    longer, shorter = (a, b) if a.shape[dim] >= b.shape[dim] else (b, a)
    total = longer.clone()
    total.narrow(dim, 0, shorter.shape[dim]).add_(shorter)
    return total


def _position_groups(count: Tensor, positional: bool) -> Tensor:
    """Which positions each row of the result pools: 1.0 where row r counts position p."""
    if not positional:
        return torch.ones_like(count)[None]
    n_common = 1 + int((count == count.max()).nonzero().max())
    own = torch.eye(len(count), dtype=count.dtype, device=count.device)[:n_common]
    if n_common == len(count):
        return own
    rest = torch.zeros_like(count)
    rest[n_common:] = 1
    return torch.cat([own, rest[None]])

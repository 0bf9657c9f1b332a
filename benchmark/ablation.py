"""What an absent edge carries instead: every ablation but the learned one (optimal.py).

An ablation is fitted once to training prompts; the result then gives the replacement values of
any batch. It is *total* if the replacement does not depend on the prompt (zero, mean, resample)
and *partial* otherwise (counterfactual, noise): only total ablations are bounded below by the
optimal one (Li & Janson 2024, sections 1.3 and 1.5).

Random draws depend only on the seed, `draw` and the prompts' ids: the same batch gets the same
donors or noise whenever it is evaluated. A training loop passes a new `draw` each step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.batch import Batch
from benchmark.errors import UserError
from benchmark.forward import source_values
from benchmark.moments import (
    clean_tokens,
    corrupted_tokens,
    for_length,
    source_moments,
)
from benchmark.seeding import generator
from benchmark.transformer import Transformer
from benchmark.values import SourceValues, zero_values


@runtime_checkable
class Replacement(Protocol):
    """A fitted ablation: replacement values for any batch."""

    def __call__(self, batch: Batch, draw: int = 0) -> SourceValues:
        """What every source carries where it is ablated; `draw` numbers repeated draws."""
        ...


@runtime_checkable
class Ablation(Protocol):
    """A kind of ablation and its settings."""

    total: ClassVar[bool]

    @property
    def keep_first(self) -> bool:
        """Never ablate position 0."""
        ...

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Learn what is needed from training prompts."""
        ...


@dataclass(frozen=True)
class Fitted:
    """A replacement given by a function of the batch and the number of the draw."""

    values_of: Callable[[Batch, int], SourceValues]

    def __call__(self, batch: Batch, draw: int = 0) -> SourceValues:
        """What every source carries where it is ablated."""
        return self.values_of(batch, draw)


@dataclass(frozen=True)
class Zero:
    """Zero, for every source. Attention output biases still pass."""

    keep_first: bool
    total: ClassVar[bool] = True

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Nothing to learn."""
        zeros = zero_values(model.shape, self.keep_first, model.device)
        values = zeros.map(lambda x: x.to(model.stream_dtype))
        return Fitted(lambda batch, draw: values)


@dataclass(frozen=True)
class Mean:
    """The mean over prompts, pooled over positions or per position.

    With `counterfactual` it is the mean over the corrupted prompts.
    """

    keep_first: bool
    positional: bool
    counterfactual: bool
    total: ClassVar[bool] = True

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Average over the training prompts, one forward pass each."""
        tokens_of = corrupted_tokens if self.counterfactual else clean_tokens
        moments = source_moments(
            model, batches, tokens_of, positional=self.positional, keep_first=self.keep_first
        )
        return Fitted(lambda batch, draw: for_length(moments.mean, batch.n_positions))


@dataclass(frozen=True)
class Resample:
    """Another prompt's activation: a derangement within the batch.

    With `positional`, each position takes the donor's position at the same distance from the
    end, so that prompts of different lengths are aligned where they are read; a position before
    the donor's first takes its first. (The authors' code shifts shorter donors only.) Without
    it, the donor's positions are shuffled as well, one permutation per prompt.
    """

    keep_first: bool
    positional: bool
    seed: int
    total: ClassVar[bool] = True

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Nothing to learn; donors come from the batch itself."""

        def replacement(batch: Batch, draw: int) -> SourceValues:
            random = generator(self.seed, "resample", draw, *batch.ids)
            donors = derangement(len(batch), random)
            lengths = batch.lengths.cpu()
            positions = self._positions(lengths, lengths[donors], batch.n_positions, random)
            donors, positions = donors.to(model.device), positions.to(model.device)
            values = source_values(model, batch.clean)
            donated = values.map(lambda x: x[..., donors[:, None], positions, :])
            return replace(donated, keep_first=self.keep_first)

        return Fitted(replacement)

    def _positions(
        self, own: Tensor, donor: Tensor, n_positions: int, random: torch.Generator
    ) -> Int[Tensor, "batch pos"]:
        """The donor's position that each position takes; never a kept first one, never padding."""
        first = int(self.keep_first)
        here = torch.arange(n_positions)
        if self.positional:
            aligned = here + (donor - own)[:, None]
            return aligned.clamp(min=first).minimum(donor[:, None] - 1)
        shuffled = []
        for length in donor.tolist():
            # A donor of one token has no other position to offer than its first.
            start = min(first, length - 1)
            order = start + torch.randperm(length - start, generator=random)
            shuffled.append(order[here % len(order)])
        return torch.stack(shuffled)


@dataclass(frozen=True)
class Counterfactual:
    """The activation of the paired corrupted prompt, at the same position."""

    keep_first: bool
    total: ClassVar[bool] = False

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Nothing to learn; one forward pass of the corrupted prompts per batch."""

        def replacement(batch: Batch, draw: int) -> SourceValues:
            return replace(source_values(model, batch.corrupted), keep_first=self.keep_first)

        return Fitted(replacement)


@dataclass(frozen=True)
class GaussianNoise:
    """The clean activation plus independent normal noise on each coordinate and position.

    `scale` is in standard deviations of each coordinate over the training prompts, measured in
    the source's own space (a head's before W_O). Causal tracing uses 3 (Meng et al. 2022).
    """

    keep_first: bool
    scale: float
    seed: int
    total: ClassVar[bool] = False

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Measure the standard deviations."""
        moments = source_moments(
            model, batches, clean_tokens, positional=False, keep_first=self.keep_first
        )

        def replacement(batch: Batch, draw: int) -> SourceValues:
            randoms = [generator(self.seed, "noise", draw, name) for name in batch.ids]
            values = source_values(model, batch.clean)
            noisy = [
                value + self.scale * deviation * _noise(value, batch.lengths.tolist(), randoms)
                for value, deviation in zip(values.tensors, moments.deviation.tensors, strict=True)
            ]
            return SourceValues(*noisy, keep_first=self.keep_first)

        return Fitted(replacement)


def derangement(n: int, random: torch.Generator) -> Int[Tensor, " n"]:
    """A uniformly random permutation of 0..n-1 without a fixed point.

    Raises:
        UserError: n is below 2, so that there is none.
    """
    if n < 2:
        raise UserError(
            "resample ablation takes donors from the same batch, and a batch has one prompt; "
            "choose a batch size that leaves no remainder of one"
        )
    while True:
        order = torch.randperm(n, generator=random)
        if not bool((order == torch.arange(n)).any()):
            return order


def _noise(
    like: Float[Tensor, "*any batch pos d"], lengths: list[int], randoms: list[torch.Generator]
) -> Tensor:
    """Normal noise drawn prompt by prompt at real positions, so that padding changes none of it."""
    *any_axes, _, n_positions, d = like.shape
    prompts = []
    for length, random in zip(lengths, randoms, strict=True):
        noise = torch.randn(*any_axes, length, d, generator=random)
        prompts.append(torch.nn.functional.pad(noise, (0, 0, 0, n_positions - length)))
    return torch.stack(prompts, dim=-3).to(like)

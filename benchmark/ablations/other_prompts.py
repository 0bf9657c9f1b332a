"""Values of another prompt: resampled, or the counterfactual one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.ablations.contract import Replacement, Traits
from benchmark.errors import UserError
from benchmark.forward.passes import source_values
from benchmark.forward.values import SourceValues
from benchmark.prompts.batch import Batch
from benchmark.seeds import generator
from benchmark.transformer.transformer import Transformer


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
    traits: ClassVar[Traits] = Traits(total=True, by_position=True, random=True, needs_donors=True)

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Nothing to learn; donors come from the batch itself."""

        def replacement(batch: Batch, draw: int = 0) -> SourceValues:
            random = generator(self.seed, "resample", draw, *batch.ids)
            donors = derangement(len(batch), random)
            lengths = batch.lengths.cpu()
            positions = self._positions(lengths, lengths[donors], batch.n_positions, random)
            donors, positions = donors.to(model.device), positions.to(model.device)
            values = source_values(model, batch.clean)
            donated = values.map(lambda x: x[..., donors[:, None], positions, :])
            return replace(donated, keep_first=self.keep_first)

        return replacement

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
    traits: ClassVar[Traits] = Traits(by_position=True, from_corrupted=True)

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Nothing to learn; one forward pass of the corrupted prompts per batch."""

        def replacement(batch: Batch, draw: int = 0) -> SourceValues:
            return replace(source_values(model, batch.corrupted), keep_first=self.keep_first)

        return replacement


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

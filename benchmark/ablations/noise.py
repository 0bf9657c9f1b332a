"""Gaussian noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.ablations.contract import Replacement, Traits
from benchmark.ablations.moments import clean_tokens, source_moments
from benchmark.errors import UserError
from benchmark.forward.passes import source_values
from benchmark.forward.values import SourceValues
from benchmark.prompts.batch import Batch
from benchmark.seeds import generator
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True)
class GaussianNoise:
    """The clean activation plus independent normal noise on each coordinate and position.

    `scale` is in standard deviations of each coordinate over the training prompts, measured in
    the source's own space (a head's before W_O). Causal tracing uses 3 (Meng et al. 2022).
    """

    keep_first: bool
    scale: float
    seed: int
    traits: ClassVar[Traits] = Traits(by_position=True, random=True)

    def __post_init__(self) -> None:
        """Check the range."""
        if not self.scale >= 0:
            raise UserError(f"ablation.scale={self.scale:g} must be 0 or more")

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Measure the standard deviations."""
        moments = source_moments(
            model, batches, clean_tokens, positional=False, keep_first=self.keep_first
        )

        def replacement(batch: Batch, draw: int = 0) -> SourceValues:
            randoms = [generator(self.seed, "noise", draw, name) for name in batch.ids]
            values = source_values(model, batch.clean)
            noisy = [
                value + self.scale * deviation * _noise(value, batch.lengths.tolist(), randoms)
                for value, deviation in zip(values.tensors, moments.deviation.tensors, strict=True)
            ]
            return SourceValues(*noisy, keep_first=self.keep_first)

        return replacement


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

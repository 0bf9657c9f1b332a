"""Lenses whose attention adds zero, its mean, or what it added in another text.

The same layers' MLPs run as in the OCA lens, so these say what its constants gain by being trained
(Li & Janson 2024, arXiv 2409.09951, section 5).
"""

from dataclasses import dataclass

import torch

from methods.lens.fitted import ConstantAttentionLens, ResampledAttentionLens
from methods.lens.fitting.text import Given, states_of
from methods.lens.lens import Lens
from methods.ranges import check_counts


@dataclass(frozen=True)
class ZeroAttentionLens(Lens):
    """Attention adds nothing; see conf/method/zero_lens.yaml."""

    def fitted(self, given: Given) -> ConstantAttentionLens:
        """Nothing to fit."""
        model = given.model
        zero = torch.zeros(1, model.shape.d_model, dtype=model.stream_dtype, device=model.device)
        return ConstantAttentionLens(model, (zero,) * model.shape.n_layers)


@dataclass(frozen=True)
class MeanAttentionLens(Lens):
    """Attention adds what it adds on average; see conf/method/mean_lens.yaml."""

    def fitted(self, given: Given) -> ConstantAttentionLens:
        """The means, the same for all start layers."""
        means = given.states.mean_attention()
        return ConstantAttentionLens(given.model, tuple(mean[None] for mean in means))


@dataclass(frozen=True)
class ResampledLens(Lens):
    """Attention adds what it added in another prompt; see conf/method/resample_lens.yaml."""

    n_prompts: int | None

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "n_prompts")

    def fitted(self, given: Given) -> ResampledAttentionLens:
        """Keep what attention added in the first prompts of the text."""
        donors = states_of(given.model, [given.first(self.n_prompts)], given.length)
        return ResampledAttentionLens(given.model, donors.attention, given.seed)

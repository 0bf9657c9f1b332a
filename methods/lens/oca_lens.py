"""The OCA lens: from a layer on, attention adds the constants that lose least.

Optimal constant attention (Li & Janson 2024, arXiv 2409.09951, section 5): the lens of layer l
runs the MLPs of layers l, l + 1, ... with a constant in place of what each one's attention would
add, and every start layer has constants of its own. All are trained in the same sweeps over the
layers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from benchmark.seeds import generator
from methods.lens.fitted import ConstantAttentionLens
from methods.lens.fitting.text import Given
from methods.lens.fitting.training import train
from methods.lens.lens import TrainedLens
from methods.lens.tuned_lens import to_train


class ConstantStart(Enum):
    """What constants begin as: what attention adds on average, or standard normal numbers."""

    mean = "mean"
    normal = "normal"


@dataclass(frozen=True)
class OCALens(TrainedLens):
    """Settings of the OCA lens; see conf/method/oca_lens.yaml."""

    start: ConstantStart

    def fitted(self, given: Given) -> ConstantAttentionLens:
        """Train the constants of all start layers side by side."""
        lens = ConstantAttentionLens(given.model, tuple(self._first_constants(given)))
        train(lens, given.states, self.recipe, given.seed, given.checkpoint)
        return lens

    def _first_constants(self, given: Given) -> Iterator[Tensor]:
        """For every layer one for each start layer up to it."""
        draw = generator(given.seed, "start of a lens")
        for layer, mean in enumerate(given.states.mean_attention()):
            rows = mean.repeat(layer + 1, 1)
            if self.start is ConstantStart.normal:
                rows = torch.randn(rows.shape, generator=draw)
            yield to_train(rows, given.model)

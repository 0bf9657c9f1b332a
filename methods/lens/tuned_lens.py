"""The tuned lens: an affine map for every layer, trained to say what the model says.

After Belrose et al. (2023, arXiv 2303.08112), who start at the identity. Li & Janson (2024)
compare with one whose matrices and biases start as standard normal numbers, which learns slowly.
"""

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from benchmark.seeds import generator
from benchmark.transformer.transformer import Transformer
from methods.lens.fitted import TranslatorLens
from methods.lens.fitting.text import Given
from methods.lens.fitting.training import train
from methods.lens.lens import TrainedLens


class TranslatorStart(Enum):
    """What matrices and biases begin as: identity and zero, or standard normal numbers."""

    identity = "identity"
    normal = "normal"


@dataclass(frozen=True)
class TunedLens(TrainedLens):
    """Settings of the tuned lens; see conf/method/tuned_lens.yaml."""

    start: TranslatorStart

    def fitted(self, given: Given) -> TranslatorLens:
        """Train all layers side by side."""
        lens = new_translator(given.model, self.start, given.seed)
        train(lens, given.states, self.recipe, given.seed, given.checkpoint)
        return lens


def new_translator(model: Transformer, start: TranslatorStart, seed: int) -> TranslatorLens:
    """A translator whose matrices and biases are to be trained."""
    n_layers, d_model = model.shape.n_layers, model.shape.d_model
    weight, bias = torch.eye(d_model).repeat(n_layers, 1, 1), torch.zeros(n_layers, d_model)
    if start is TranslatorStart.normal:
        draw = generator(seed, "start of a lens")
        weight, bias = (torch.randn(x.shape, generator=draw) for x in (weight, bias))
    return TranslatorLens(model, *(to_train(x, model) for x in (weight, bias)))


def to_train(values: Tensor, model: Transformer) -> Tensor:
    """A parameter, where the model's states are."""
    return values.to(model.device, model.stream_dtype).requires_grad_()

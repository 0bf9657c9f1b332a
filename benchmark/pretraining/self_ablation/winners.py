"""From scores to masks: the k units of highest score stay on, the others are off.

k-winner-take-all after Ferrao et al. (2025, arXiv 2505.00509). With x_k and x_k+1 the k-th and the
next score, a unit of score x gets a soft weight that grows with (x - (x_k + x_k+1) / 2), in units
of `temperature` times the gap x_k - x_k+1. The hard mask is 1 at the winners and 0 elsewhere, and
passes gradients on as if it were the soft weights (straight through).
"""

from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

# Keeps the gap of equal scores from dividing by zero, as in the authors' code.
SMALLEST = 1e-12


class Soft(Enum):
    """How soft weights are normalised.

    `sigmoid`: sigmoids, scaled to sum to k, as in the authors' code (with temperature 0.1).
    `softmax`: a softmax, which sums to 1, as the paper says (with temperature 1).
    """

    sigmoid = "sigmoid"
    softmax = "softmax"


@dataclass(frozen=True)
class Winners:
    """Settings of k-winner-take-all; see conf/zoo/self_ablation.yaml.

    Attributes:
        soft: how soft weights are normalised.
        temperature: in multiples of the gap between the k-th and the next score.
        hard: whether masks are 0 and 1 in the forward pass; else they are the soft weights.
    """

    soft: Soft
    temperature: float
    hard: bool

    def mask(self, scores: Float[Tensor, "*rows units"], k: int) -> Float[Tensor, "*rows units"]:
        """The mask of each row; a hard one sums to k, of k < units."""
        best = scores.topk(k + 1)
        soft = self._weights(scores, best.values, k)
        if not self.hard:
            return soft
        hard = torch.zeros_like(scores).scatter_(-1, best.indices[..., :k], 1.0)
        return straight_through(hard, soft)

    def _weights(self, scores: Tensor, best: Tensor, k: int) -> Float[Tensor, "*rows units"]:
        """The soft weights; they rise with the scores, and gradients flow through the gap too."""
        last, next_ = best[..., -2:].split(1, -1)
        width = self.temperature * (last - next_) + SMALLEST
        distance = (scores - (last + next_) / 2) / width
        if self.soft is Soft.softmax:
            return distance.softmax(-1)
        open_ = distance.sigmoid()
        return open_ * (k / open_.sum(-1, keepdim=True))


def straight_through(
    hard: Float[Tensor, "*rows units"], soft: Float[Tensor, "*rows units"]
) -> Float[Tensor, "*rows units"]:
    """The values of one, exactly, with the gradient of the other."""
    return _StraightThrough.apply(hard, soft)  # pyright: ignore[reportReturnType]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, hard: Tensor, soft: Tensor) -> Tensor:
        return hard.view_as(hard)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]

"""Other rules than the derivative for passing gradients backwards; the forward pass stays as it is.

Attribution by gradients misjudges what saturates or cancels to first order: norms, softmaxes,
activations and products. RelP (Rezaei Jafari et al. 2025, arXiv 2508.21258) takes the
coefficients of layer-wise relevance propagation instead; GIM (Edin et al. 2025, arXiv 2505.17630)
a softer softmax and gradients that are shared among the factors of a product. A model with rules
is the same model with other backward passes, so every gradient method takes it as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from benchmark.transformer.weights import (
    Attention,
    AttentionRule,
    FeedForward,
    JointNorm,
    NoNorm,
    Norm,
    Weights,
)

# The step by which an activation's argument is moved from 0 before the output is divided by it.
FROM_ZERO = 1e-6

# torch declares the methods of Function more loosely than any implementation can be.
# pyright: reportIncompatibleMethodOverride=false
Context = Any


@dataclass(frozen=True)
class BackwardRules:
    """Which rules replace the derivative.

    Attributes:
        freeze_norms: the scale of every LayerNorm and RMSNorm counts as a constant.
        activation_by_ratio: an activation function's slope is its output over its input.
        gate_share: factor of the gradient of both branches of a gated MLP.
        attention: of attention, or None for the derivative.
    """

    freeze_norms: bool
    activation_by_ratio: bool
    gate_share: float
    attention: AttentionRule | None

    def of(self, weights: Weights) -> Weights:
        """The weights of a model whose backward pass obeys these rules."""
        layers = tuple(
            replace(layer, attention=self._attention(layer.attention), mlp=self._mlp(layer.mlp))
            for layer in weights.layers
        )
        return replace(weights, layers=layers, final_norm=self._norm(weights.final_norm))

    def _norm(self, norm: Norm) -> Norm:
        if not self.freeze_norms or isinstance(norm, NoNorm):
            return norm
        return FrozenNorm(norm.weight, norm.bias, norm.eps, norm.centred)

    def _norm_if_any(self, norm: Norm | None) -> Norm | None:
        return None if norm is None else self._norm(norm)

    def _of_heads(self, norm: Norm | JointNorm | None) -> Norm | JointNorm | None:
        if isinstance(norm, JointNorm):
            return replace(norm, has_gradient=not self.freeze_norms)
        return self._norm_if_any(norm)

    def _attention(self, block: Attention) -> Attention:
        return replace(
            block,
            norm=self._norm(block.norm),
            q_norm=self._of_heads(block.q_norm),
            k_norm=self._of_heads(block.k_norm),
            post_norm_has_gradient=not self.freeze_norms,
            rule=self.attention,
        )

    def _mlp(self, block: FeedForward) -> FeedForward:
        activation = by_ratio(block.activation) if self.activation_by_ratio else block.activation
        return replace(
            block,
            norm=self._norm(block.norm),
            post_norm=self._norm_if_any(block.post_norm),
            activation=activation,
            gate_share=self.gate_share,
        )


@dataclass(frozen=True)
class FrozenNorm(Norm):
    """A norm whose gradient takes its scale for a constant; centring stays differentiable."""

    def __call__(self, x: Float[Tensor, "*any d"]) -> Float[Tensor, "*any d"]:
        """Normalise `x` over its last axis."""
        return _FrozenNorm.apply(x.to(self.weight.dtype), self)

    def _project_out(self, x: Tensor, gradient: Tensor) -> None:
        if self.centred:
            gradient.sub_(gradient.mean(-1, keepdim=True))


class _FrozenNorm(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, norm: FrozenNorm) -> Tensor:
        ctx.save_for_backward(x)
        ctx.norm = norm
        return Norm.__call__(norm, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.norm.pull_back(*ctx.saved_tensors, gradients[0].clone()), None


def by_ratio(activation: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """An activation function whose slope is its output over its input."""
    return lambda x: _ByRatio.apply(x, activation)


class _ByRatio(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        out = activation(x)
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, out = ctx.saved_tensors
        return gradients[0] * out / torch.where(x < 0, x - FROM_ZERO, x + FROM_ZERO), None


def scaled_gradient(x: Tensor, share: float) -> Tensor:
    """`x`, whose gradient is multiplied by `share`."""
    return x if share == 1 else _ScaledGradient.apply(x, share)


class _ScaledGradient(Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, share: float) -> Tensor:
        ctx.share = share
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0] * ctx.share, None


def softmax_with_gradient_at(scores: Tensor, temperature: float) -> Tensor:
    """The softmax over the last axis, with the derivative of a softmax at another temperature.

    The derivative is p (g - sum p g) with p = softmax(scores / temperature), without the factor
    of one over the temperature (Edin et al. 2025, section 3).
    """
    return scores.softmax(-1) if temperature == 1 else _TemperedSoftmax.apply(scores, temperature)


class _TemperedSoftmax(Function):
    @staticmethod
    def forward(ctx: Context, scores: Tensor, temperature: float) -> Tensor:
        ctx.save_for_backward(scores)
        ctx.temperature = temperature
        return scores.softmax(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (scores,) = ctx.saved_tensors
        p = (scores / ctx.temperature).softmax(-1)
        passed = p * gradients[0]
        return passed - p * passed.sum(-1, keepdim=True), None

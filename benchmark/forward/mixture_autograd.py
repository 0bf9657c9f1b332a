"""How autograd passes through a mixture.

Autograd cannot see writes into a buffer, so four functions carry the gradient: `Open` (mask and
ablation values enter), `Write` (sources enter the buffer), `Read` (a block reads), `Focus` (from
here on only the read positions). A scalar *token* runs through them in order; it makes autograd
call their backward passes in the opposite order, so that a source's gradient is complete before
it is used. The mixture itself never refers to a token, so there is no reference cycle.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from benchmark.forward.mixture import Mixture
from benchmark.graph.graph import Stage

# torch declares the methods of Function more loosely than any implementation can be.
# pyright: reportIncompatibleMethodOverride=false
Context = Any


class Open(Function):
    """Mask and ablation values enter; their gradients leave at the end of the backward pass."""

    @staticmethod
    def forward(ctx: Context, mixture: Mixture, mask: Tensor, *values: Tensor) -> Float[Tensor, ""]:
        """The first token."""
        ctx.mixture = mixture
        return mask.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of mask and values, complete once every token has come back."""
        mixture: Mixture = ctx.mixture
        of_mask = mixture.mask_gradient.mT if mixture.mask_gradient is not None else None
        if mixture.value_gradient is None:
            return None, of_mask, None, None, None
        return None, of_mask, *mixture.compact_value_gradient()


class Write(Function):
    """Sources enter the buffer."""

    @staticmethod
    def forward(
        ctx: Context,
        mixture: Mixture,
        token: Tensor,
        difference: Float[Tensor, "sources masks batch pos d"],
        first: int,
        W: Float[Tensor, "sources d d_model"] | None,
    ) -> Float[Tensor, ""]:
        """The next token."""
        ctx.buffer, ctx.first, ctx.count, ctx.W = mixture.current, first, len(difference), W
        ctx.neurons = mixture.neurons_of(first, len(difference))
        mixture.write(first, difference, W)
        return torch.zeros_like(token)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient that all readers of these sources have accumulated."""
        gradient = ctx.buffer.gradient_of(ctx.first, ctx.count)
        W, neurons = ctx.W, ctx.neurons
        gradient = gradient if neurons is None else gradient * neurons
        if W is not None:
            flat = torch.bmm(gradient.flatten(1, 3).to(W.dtype), W.mT)
            gradient = flat.view(*gradient.shape[:-1], -1).to(gradient.dtype)
        return None, gradients[0], gradient, None, None


class Read(Function):
    """The readers of a stage receive their inputs."""

    @staticmethod
    def forward(
        ctx: Context, mixture: Mixture, token: Tensor, stage: Stage
    ) -> Float[Tensor, "readers masks batch pos d_model"]:
        """Mix the buffer's rows by the mask."""
        ctx.mixture, ctx.buffer, ctx.stage = mixture, mixture.current, stage
        return mixture.read(stage)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Accumulate; the logits are read last, so their gradient is the first to arrive."""
        mixture, stage, dx = ctx.mixture, ctx.stage, gradients[0]
        if stage == mixture.graph.logits_stage():
            mixture.start_backward()
        mixture.read_backward(ctx.buffer, stage, dx)
        return None, dx.new_zeros(()), None


class Focus(Function):
    """From here on only the read positions."""

    @staticmethod
    def forward(
        ctx: Context, mixture: Mixture, token: Tensor, read_at: Tensor, n_sources: int
    ) -> Float[Tensor, ""]:
        """The next token."""
        ctx.mixture = mixture
        mixture.focus(read_at, n_sources)
        return torch.zeros_like(token)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient to the whole buffer."""
        ctx.mixture.focus_backward()
        return None, gradients[0], None, None

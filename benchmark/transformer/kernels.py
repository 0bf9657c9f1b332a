"""Three steps of the forward pass whose gradients we write ourselves, to move fewer bytes.

Both equal what autograd would compute from the plain expression; tests compare them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from benchmark.transformer.weights import Norm, Projection

# Up to this many keys, attention on a CPU is faster from plain products than from the fused
# kernel (three times at 20 tokens, even at about 200; see scripts/bench_engine.py).
SHORT = 128

# torch declares the methods of Function more loosely than any implementation can be.
# pyright: reportIncompatibleMethodOverride=false
Context = Any


def project_heads(
    x: Float[Tensor, "readers masks batch pos d_model"], *projections: Projection
) -> tuple[Float[Tensor, "heads masks batch pos d_head"], ...]:
    """Project reader inputs by several weights W [n, d_model, d_head] with biases [n, 1, d_head].

    With one reader, every weight sees it and each result has its n heads. With more, the readers
    are divided evenly among the projections in order, and a weight with fewer heads than readers
    serves groups of neighbouring ones (grouped-query attention).
    """
    flat = [part for projection in projections for part in projection]
    rows = x.shape[1:-1]
    outs = _Project.apply(x.to(projections[0][0].dtype), *flat)
    return tuple(out.view(len(out), *rows, -1) for out in outs)


def project_normed(
    x: Float[Tensor, "readers masks batch pos d_model"], norm: Norm, *projections: Projection
) -> tuple[Float[Tensor, "heads masks batch pos d_head"], ...]:
    """`project_heads(norm(x), ...)`, for many readers without a normalised copy of their inputs."""
    if len(x) == 1 or not norm.only_scales:
        return project_heads(norm(x), *projections)
    x = x.to(norm.weight.dtype)
    flat = [part for W, b in projections for part in (norm.weight[:, None] * W, b)]
    outs = _ProjectNormed.apply(x, norm.scale(x.detach()), *flat)
    return tuple(out.view(len(out), *x.shape[1:-1], -1) for out in outs)


def normed_input_gradients(
    x: Float[Tensor, "readers_or_1 masks batch pos d_model"],
    scale: Float[Tensor, "readers_or_1 masks batch pos 1"],
    weights: Sequence[Tensor],
    outs: Sequence[Tensor],
    gradients: Sequence[Tensor],
) -> Float[Tensor, "readers masks batch pos d_model"]:
    """The gradient of each head's own input of an RMSNorm and a projection.

    With x the input, s its scale and y = s x W: dx = s dy W^T - x s^2 (dy . y) / d.

    Args:
        x: the input of each head in order, or one for all.
        scale: of the norm.
        weights: of the projections [n, d_model, d_head], with the norm's weight in them.
        outs: what they made of x, without biases [heads, rows, d_head].
        gradients: of these.
    """
    sizes = [len(gradient) for gradient in gradients]
    dx = x.new_empty(sum(sizes), *x.shape[1:])
    scales, along = scale.expand(len(dx), *scale.shape[1:]).flatten(1).split(sizes), []
    for part, s, W, out, g in zip(dx.split(sizes), scales, weights, outs, gradients, strict=True):
        g = g.reshape(out.shape) * s[..., None]
        torch.bmm(g.view(len(W), -1, W.shape[-1]), W.mT, out=part.view(len(W), -1, W.shape[1]))
        along.append(torch.linalg.vecdot(g, out) * s)
    along = torch.cat(along).view(*dx.shape[:-1], 1)
    return dx.addcmul_(x, along, value=-1 / x.shape[-1])


def head_gradients(
    gradient: Float[Tensor, "heads masks batch pos d_head"],
    W: Float[Tensor, "kv_heads d_model d_head"],
) -> Float[Tensor, "heads masks batch pos d_model"]:
    """The gradient of each head's own input, had every head one of its own."""
    flat = gradient.reshape(len(W), -1, W.shape[-1])
    return torch.bmm(flat, W.mT).view(*gradient.shape[:-1], -1)


def one_per_query_head(
    x: Float[Tensor, "heads masks batch pos d_head"], n_heads: int
) -> Float[Tensor, "query_heads masks batch pos d_head"]:
    """Queries, keys or values, those of grouped-query attention repeated for each query head."""
    return x if len(x) == n_heads else x.repeat_interleave(n_heads // len(x), dim=0)


def each_head_alone(
    clean: Float[Tensor, "heads 1 batch pos d_head"],
    changed: Float[Tensor, "heads rows batch pos d_head"],
    n_heads: int,
) -> Float[Tensor, "query_heads more_rows batch pos d_head"]:
    """Queries, keys or values of which one query head's are changed: rows x heads rows."""
    clean, changed = (one_per_query_head(x, n_heads)[:, :, None] for x in (clean, changed))
    own = torch.eye(n_heads, dtype=torch.bool, device=clean.device)[:, None, :, None, None, None]
    return torch.where(own, changed, clean).flatten(1, 2)


class _Project(Function):
    """Batched products into and out of slices, so that no slice is copied in either direction."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, *flat: Tensor | None) -> tuple[Tensor, ...]:
        weights = tuple(W for W in flat[::2] if W is not None)
        biases = flat[1::2]
        ctx.weights, ctx.shape = weights, x.shape
        outs = []
        for part, W, b in zip(_parts(x, weights), weights, biases, strict=True):
            out = torch.bmm(part, W) if b is None else torch.baddbmm(b, part, W)
            readers = len(W) if len(x) == 1 else len(x) // len(weights)
            outs.append(out.view(readers, -1, W.shape[-1]))
        return tuple(outs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, shape = ctx.weights, ctx.shape
        nothing = (None,) * (2 * len(weights))
        if shape[0] == 1:
            dx = sum(_to_shared(g, W) for g, W in zip(gradients, weights, strict=True))
            return dx.view(shape), *nothing  # type: ignore[union-attr]
        dx = gradients[0].new_empty(shape)
        for part, g, W in zip(_parts(dx, weights), gradients, weights, strict=True):
            torch.bmm(g.reshape(len(W), -1, W.shape[-1]), W.mT, out=part)
        return dx, *nothing


def _parts(x: Tensor, weights: tuple[Tensor, ...]) -> list[Tensor]:
    """The rows of x for each weight, as [n, rows, d_model] views."""
    if len(x) == 1:
        return [x.reshape(1, -1, x.shape[-1]).expand(len(W), -1, -1) for W in weights]
    parts = x.chunk(len(weights))
    return [part.view(len(W), -1, x.shape[-1]) for part, W in zip(parts, weights, strict=True)]


def _to_shared(gradient: Tensor, W: Tensor) -> Float[Tensor, "rows d_model"]:
    """The gradient of an input that all heads share, as one product."""
    joined = gradient.movedim(0, -2).flatten(-2)
    return joined @ W.mT.reshape(-1, W.shape[1])


class _ProjectNormed(Function):
    """Projections of inputs as they are, with the scale of their norm applied to the results."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, scale: Tensor, *flat: Tensor | None) -> tuple[Tensor, ...]:
        weights = tuple(W for W in flat[::2] if W is not None)
        parts = zip(_parts(x, weights), _parts(scale, weights), weights, strict=True)
        outs = [torch.bmm(part, W).mul_(s) for part, s, W in parts]
        readers = len(x) // len(weights)
        with_biases = [
            (out if b is None else out + b).view(readers, -1, out.shape[-1])
            for out, b in zip(outs, flat[1::2], strict=True)
        ]
        ctx.save_for_backward(
            x, scale, *weights, *(out.view(readers, -1, out.shape[-1]) for out in outs)
        )
        return tuple(with_biases)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, *rest = ctx.saved_tensors
        weights, outs = rest[: len(gradients)], rest[len(gradients) :]
        dx = normed_input_gradients(x, scale, weights, outs, gradients)
        return dx, None, *(None for _ in rest)


class _ShortAttention(Function):
    """Softmax attention from plain products, keeping the attention pattern for the gradient."""

    @staticmethod
    def forward(
        ctx: Context, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scale: float
    ) -> Tensor:
        pattern = torch.baddbmm(bias, q, k.mT, alpha=scale).softmax(-1)
        ctx.save_for_backward(q, k, v, pattern)
        ctx.scale = scale
        return torch.bmm(pattern, v)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dz,) = gradients
        q, k, v, pattern = ctx.saved_tensors
        scale = ctx.scale
        d_pattern = torch.bmm(dz, v.mT)
        # The softmax's own gradient kernel: pattern * (d_pattern - sum(pattern * d_pattern)).
        d_scores = torch.ops.aten._softmax_backward_data(d_pattern, pattern, -1, pattern.dtype)
        dq = torch.bmm(d_scores, k).mul_(scale)
        dk = torch.bmm(d_scores.mT, q).mul_(scale)
        return dq, dk, torch.bmm(pattern.mT, dz), None, None


def short_attention(
    q: Float[Tensor, "heads rows queries d_head"],
    k: Float[Tensor, "heads rows pos d_head"],
    v: Float[Tensor, "heads rows pos d_head"],
    visible: Tensor,
    scale: float,
) -> Float[Tensor, "heads rows queries d_head"]:
    """Attention of few keys; `visible` ([rows,] queries, pos) says who sees whom."""
    bias = torch.zeros(visible.shape, dtype=q.dtype, device=q.device)
    bias = bias.masked_fill_(~visible, -torch.inf)
    if bias.dim() == 3:
        bias = bias.expand(len(q), -1, -1, -1).flatten(0, 1)
    flat = (x.flatten(0, 1) for x in (q, k, v))
    return _ShortAttention.apply(*flat, bias, scale).view(q.shape)


def is_short(k: Tensor) -> bool:
    """Whether `short_attention` is the faster choice for these keys."""
    full_precision = k.dtype in (torch.float32, torch.float64)
    return k.device.type == "cpu" and full_precision and k.shape[-2] <= SHORT

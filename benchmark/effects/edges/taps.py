"""The unablated forward pass with a tap at every reader, for attribution by gradients.

The first-order effect of an edge is its source's difference (live minus ablation value) times the
gradient at its reader's input, summed over positions (Syed, Rager & Conmy 2023, arXiv 2310.10348).
In the unablated model all readers of a block share their input, so the forward pass is the plain
one; on the way back each head's own gradient is formed layer by layer, multiplied with all
differences in one matrix product, and dropped. So beside the model and the differences, memory
grows with the readers of one layer, not with the edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from benchmark.effects.edges.differences import Differences
from benchmark.forward.streams import PlainStream
from benchmark.forward.values import SourceValues
from benchmark.graph.graph import ComputationalGraph, Stage
from benchmark.transformer.kernels import (
    head_gradients,
    normed_input_gradients,
    one_per_query_head,
    project_heads,
)
from benchmark.transformer.weights import Attention, Norm, Projection

# torch declares the methods of Function more loosely than any implementation can be.
# pyright: reportIncompatibleMethodOverride=false
Context = Any


class EffectSums:
    """First-order effects, summed over rows, prompts and positions as gradients come by.

    Attributes:
        edges: of every edge.
        neurons: of every coordinate of what each source writes.
    """

    def __init__(
        self, graph: ComputationalGraph, like: Tensor, sources: slice | None = None
    ) -> None:
        self.graph, self._sources = graph, sources or slice(0, graph.n_sources)
        self.edges: Float[Tensor, "src dst"] = like.new_zeros(graph.exists.shape)
        self.neurons: Float[Tensor, "src d_model"] = like.new_zeros(graph.n_sources, like.shape[-1])
        self.differences: Differences | None = None

    def read(
        self,
        stage: Stage,
        gradient: Float[Tensor, "readers rows batch pos d_model"],
        focused: bool,
    ) -> None:
        """Add what the readers of a stage tell."""
        assert self.differences is not None
        differences = self.differences.of_stage(stage, focused)[self._sources]
        summed = (gradient[:, 0] if gradient.shape[1] == 1 else gradient.sum(1)).flatten(1)
        rows = self.edges[: stage.n_sources, stage.destinations][self._sources]
        rows += differences.flatten(1) @ summed.T

    def write(
        self,
        first: int,
        stop: int,
        gradient: Float[Tensor, "1 rows batch pos d_model"],
        focused: bool,
    ) -> None:
        """Add what the gradient at the outputs of neighbouring sources tells."""
        if not self._sources.start <= first < self._sources.stop:
            return
        assert self.differences is not None
        differences = self.differences
        own = differences.at(focused)[first:stop]
        self.neurons[first:stop] += (own * gradient.sum((0, 1))).sum((1, 2))


@dataclass(frozen=True)
class Held:
    """Sources of a layer, its heads or its MLP, held at values beside the live ones.

    Their inputs get no gradient. `offset` is added to what they write together; it has only the
    read positions in the last layer, and may have more rows than the stream before it.
    """

    layer: int
    sources: slice
    offset: Float[Tensor, "rows batch pos d_model"]


class TappedStream(PlainStream):
    """The unablated residual stream, whose backward pass adds to edge effects."""

    def __init__(
        self,
        x: Float[Tensor, "1 rows batch pos d_model"],
        effects: EffectSums,
        record: SourceValues | None = None,
        held: Held | None = None,
        starts_at_input: bool = True,
    ) -> None:
        super().__init__(x, record)
        self._effects, self._held = effects, held
        if starts_at_input:
            self._written(0, 1)

    def read(self, stage: Stage) -> Float[Tensor, "1 rows batch pos d_model"]:
        """The residual stream, tapped for a stage with one reader."""
        return _TapRead.apply(self._x, self._effects, stage, self._read_at is not None)

    def project(self, stage: Stage, norm: Norm, *projections: Projection) -> tuple[Tensor, ...]:
        """Norm and projections, tapped for every head."""
        focused = self._read_at is not None
        return _TapHeads.apply(self._x, self._effects, stage, focused, norm, *projections)

    def write_heads(self, layer: int, z: Tensor, block: Attention) -> None:
        """Add the heads, tapped, and the attention output bias."""
        graph = self._effects.graph
        first, stop = graph.head_source(layer), graph.mlp_source(layer)
        super().write_heads(layer, z.detach() if self._holds(first) else z, block)
        self._written(first, stop)

    def write_mlp(self, layer: int, out: Float[Tensor, "1 rows batch pos d_model"]) -> None:
        """Add the MLP, tapped."""
        source = self._effects.graph.mlp_source(layer)
        super().write_mlp(layer, out.detach() if self._holds(source) else out)
        self._written(source, source + 1)

    def _holds(self, first: int) -> bool:
        return self._held is not None and self._held.sources.start == first

    def _written(self, first: int, stop: int) -> None:
        if self._held is not None and self._holds(first):
            self._x = self._x + self._held.offset
        focused = self._read_at is not None
        self._x = _TapWrite.apply(self._x, self._effects, first, stop, focused)


class _TapRead(Function):
    """The one reader of a stage."""

    @staticmethod
    def forward(
        ctx: Context, x: Tensor, effects: EffectSums, stage: Stage, focused: bool
    ) -> Tensor:
        ctx.known = effects, stage, focused
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        effects, stage, focused = ctx.known
        effects.read(stage, gradients[0], focused)
        return gradients[0], None, None, None


class _TapWrite(Function):
    """The residual stream behind what neighbouring sources have written."""

    @staticmethod
    def forward(
        ctx: Context, x: Tensor, effects: EffectSums, first: int, stop: int, focused: bool
    ) -> Tensor:
        ctx.known = effects, first, stop, focused
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        effects, first, stop, focused = ctx.known
        effects.write(first, stop, gradients[0], focused)
        return gradients[0], None, None, None, None


class _TapHeads(Function):
    """Norm and projections of inputs that all heads share, with a gradient for each head.

    Keys and values of grouped-query attention come out once per query head.
    """

    @staticmethod
    def forward(
        ctx: Context,
        x: Tensor,
        effects: EffectSums,
        stage: Stage,
        focused: bool,
        norm: Norm,
        *projections: Projection,
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.known, ctx.projections = (effects, stage, focused, norm), projections
        n_heads = effects.graph.n_heads
        outs = project_heads(norm(x), *projections)
        outs = tuple(one_per_query_head(out, n_heads) for out in outs)
        ctx.save_for_backward(x, *outs)
        return outs

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, *outs = ctx.saved_tensors
        effects, stage, focused, norm = ctx.known
        known = [
            (W, out if b is None else _without_bias(out, b), gradient)
            for (W, b), out, gradient in zip(ctx.projections, outs, gradients, strict=True)
            if gradient is not None
        ]
        # A rule may stop the gradients of queries and keys, which come first.
        skipped = (len(gradients) - len(known)) * effects.graph.n_heads
        stage = Stage(stage.start + skipped, stage.stop, stage.n_sources)
        of_inputs = _input_gradients(x, norm, known)
        effects.read(stage, of_inputs, focused)
        return of_inputs.sum(0, keepdim=True), None, None, None, None, *(None for _ in gradients)


def _without_bias(
    out: Float[Tensor, "heads *rows d_head"], b: Float[Tensor, "kv_heads 1 d_head"]
) -> Float[Tensor, "heads *rows d_head"]:
    return out - one_per_query_head(b[:, :, None, None], len(out))


def _input_gradients(
    x: Float[Tensor, "1 rows batch pos d_model"],
    norm: Norm,
    known: Sequence[tuple[Tensor, Tensor, Tensor]],
) -> Float[Tensor, "readers rows batch pos d_model"]:
    """The gradients of all heads' own inputs, from weights, outputs and their gradients."""
    if not norm.only_scales:
        parts = [head_gradients(gradient, W).to(x.dtype) for W, _, gradient in known]
        return norm.pull_back(x, torch.cat(parts))
    weights = [norm.weight[:, None] * W for W, _, _ in known]
    outs = [out.flatten(1, 3) for _, out, _ in known]
    gradients = [gradient for _, _, gradient in known]
    return normed_input_gradients(x, norm.scale(x), weights, outs, gradients)

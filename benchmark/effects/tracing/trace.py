"""Runs that keep what restoring needs: states, outputs of attention and MLPs, keys and values."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.effects.tracing.span import Span, SpanPositions
from benchmark.forward.layers import embedded, positions_of, unembedded
from benchmark.forward.values import at_positions
from benchmark.meter import count_parts
from benchmark.transformer import blocks
from benchmark.transformer.kernels import project_heads
from benchmark.transformer.transformer import Transformer

Rows = Float[Tensor, "1 rows batch pos d_model"]
Heads = Float[Tensor, "heads rows batch pos d_head"]


class Restored(Enum):
    """What of a layer is restored: the residual stream behind it, or what a part of it adds."""

    state = "state"
    attention = "attention"
    mlp = "mlp"


# What a layer does with the output of its attention or MLP before it goes on.
Edit = Callable[[Restored, Tensor], Tensor]


def unchanged(part: Restored, output: Tensor) -> Tensor:
    """The output as it is."""
    return output


@dataclass(frozen=True, eq=False)
class Passed:
    """What one layer made of its input; keys and values are those before norm and rotation."""

    attention: Float[Tensor, "1 rows batch reads d_model"]
    mlp: Float[Tensor, "1 rows batch reads d_model"]
    keys: Float[Tensor, "heads rows batch pos d_head"]
    values: Float[Tensor, "heads rows batch pos d_head"]
    state: Float[Tensor, "1 rows batch reads d_model"]


@dataclass(frozen=True, eq=False)
class Trace:
    """A whole run at every position, in one row or several.

    Attributes:
        states: the residual stream before each layer, and behind the last.
        attention: what each layer's attention adds, its bias included.
        mlps: what each layer's MLP adds.
        keys: of each layer, before norm and rotation.
        values: of each layer.
    """

    states: tuple[Rows, ...]
    attention: tuple[Rows, ...]
    mlps: tuple[Rows, ...]
    keys: tuple[Heads, ...]
    values: tuple[Heads, ...]

    @classmethod
    def of(cls, before: Rows, layers: list[Passed]) -> "Trace":
        """What all layers made, one after the other."""
        return cls(
            states=(before, *(layer.state for layer in layers)),
            attention=tuple(layer.attention for layer in layers),
            mlps=tuple(layer.mlp for layer in layers),
            keys=tuple(layer.keys for layer in layers),
            values=tuple(layer.values for layer in layers),
        )

    @property
    def n_rows(self) -> int:
        """Rows, such as draws of noise."""
        return self.states[0].shape[1]

    def logits(
        self, model: Transformer, read_at: Int[Tensor, " batch"]
    ) -> Float[Tensor, "rows batch vocab"]:
        """The logits at the read positions."""
        return unembedded(model, at_positions(self.states[-1], read_at[:, None]))[0, :, :, 0]


def through_layer(
    model: Transformer,
    index: int,
    x: Rows,
    positions: blocks.Positions,
    earlier: tuple[Tensor, Tensor] | None = None,
    edit: Edit = unchanged,
    columns: Int[Tensor, "batch reads"] | None = None,
) -> Passed:
    """One layer.

    Args:
        model: the model.
        index: which layer.
        x: the residual stream before it.
        positions: of queries and keys.
        earlier: keys and values of another run that stand before those of `x`.
        edit: sees what attention and MLP add.
        columns: of `x`, if the layer is needed only there; keys and values are of all of it.
    """
    layer = model.weights.layers[index]
    block = layer.attention
    here = x if columns is None else at_positions(x, columns)
    keys, values = project_heads(block.norm(x), *block.projections[1:])
    (q,) = project_heads(block.norm(here), block.projections[0])
    k, v = keys, values
    if earlier is not None:
        k, v = (torch.cat(pair, -2) for pair in zip(earlier, (keys, values), strict=True))
    z = blocks.attention(block, q, k, v, positions)
    out = blocks.write_heads(z, block.W_O)[None]
    attention = edit(Restored.attention, out if block.b_O is None else out + block.b_O)
    read = here if model.graph.parallel else here + attention
    mlp = edit(Restored.mlp, blocks.mlp(layer.mlp, read))
    return Passed(attention, mlp, keys, values, here + attention + mlp)


@torch.no_grad()
def clean_trace(model: Transformer, tokens: Int[Tensor, "batch pos"]) -> Trace:
    """The run of the prompts as they are, one row."""
    x, positions = embedded(model, tokens)[None, None], positions_of(model, tokens)
    before, layers = x, []
    for index in range(model.shape.n_layers):
        layers.append(through_layer(model, index, x, positions))
        x = layers[-1].state
    count_parts(forward=float(len(tokens)))
    return Trace.of(before, layers)


@torch.no_grad()
def changed_trace(
    model: Transformer,
    clean: Trace,
    tokens: Int[Tensor, "batch pos"],
    embeddings: Float[Tensor, "rows batch pos d_model"],
    span: Span,
) -> Trace:
    """The run from other embeddings, a row for each, that differ within the span alone.

    Args:
        model: the model.
        clean: the run of the prompts as they are.
        tokens: the prompts.
        embeddings: the residual stream before layer 0.
        span: from the first position that differs to the last that is needed; behind it the clean
            run's values stand.
    """
    n_rows, positions = len(embeddings), SpanPositions(model, tokens, span, span.index)
    x = span.of_values(embeddings)[None]
    layers = []
    for index in range(model.shape.n_layers):
        earlier = earlier_of(clean, index, positions.n_earlier, n_rows)
        passed = through_layer(model, index, x, positions, earlier)
        known = clean.attention, clean.mlps, clean.keys, clean.values, clean.states[1:]
        parts = passed.attention, passed.mlp, passed.keys, passed.values, passed.state
        whole = (
            span.written_into(_in_rows(old[index], n_rows), new)
            for old, new in zip(known, parts, strict=True)
        )
        layers.append(Passed(*whole))
        x = passed.state
    count_rows(model, n_rows, span, tokens, model.shape.n_layers)
    return Trace.of(embeddings[None], layers)


def earlier_of(trace: Trace, index: int, n_earlier: int, times: int) -> tuple[Tensor, Tensor]:
    """A layer's keys and values at the first positions, all rows of the trace `times` over."""
    found = trace.keys[index], trace.values[index]
    return tuple(x[..., :n_earlier, :].repeat(1, times, 1, 1, 1) for x in found)  # type: ignore[return-value]


def count_rows(model: Transformer, n_rows: int, span: Span, tokens: Tensor, n_layers: int) -> None:
    """Count rows that ran some of the layers, at some of the positions."""
    share = n_layers / model.shape.n_layers * float(span.real.sum()) / tokens.numel()
    count_parts(forward=n_rows * len(tokens) * share)


def _in_rows(x: Tensor, n_rows: int) -> Tensor:
    return x.expand(-1, n_rows, -1, -1, -1)

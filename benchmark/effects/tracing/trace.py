"""Runs that keep what restoring needs: states, outputs of attention and MLPs, keys and values."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.effects.tracing.span import OfTokens, Span
from benchmark.forward.layers import embedded, positions_of, unembedded
from benchmark.forward.values import at_positions
from benchmark.meter import count_parts
from benchmark.prompts.batch import Batch
from benchmark.transformer import blocks
from benchmark.transformer.kernels import project_heads
from benchmark.transformer.transformer import Transformer

Rows = Float[Tensor, "1 rows batch pos d_model"]
Heads = Float[Tensor, "heads rows batch pos d_head"]
OfAnotherRun = Float[Tensor, "heads some_rows batch pos d_head"]


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

    attention: Float[Tensor, "1 rows 1 outputs d_model"]
    mlp: Float[Tensor, "1 rows 1 outputs d_model"]
    keys: Heads
    values: Heads
    state: Float[Tensor, "1 rows 1 outputs d_model"]


@dataclass(frozen=True, eq=False)
class Trace:
    """A whole run at every position up to the read positions, in one row or several.

    What the last layer adds, and the state behind it, are there at the read positions alone.

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

    @property
    def n_rows(self) -> int:
        """Rows, such as draws of noise."""
        return self.states[0].shape[1]

    def logits(
        self, model: Transformer, read_at: Int[Tensor, " batch"]
    ) -> Float[Tensor, "rows batch vocab"]:
        """The logits at the read positions."""
        return unembedded(model, at_positions(self.states[-1], read_at[:, None]))[0, :, :, 0]


@dataclass(frozen=True, eq=False)
class Layout:
    """At which tokens a layer's input is given, and at which of them its output is needed.

    Attributes:
        inputs: the tokens of its input.
        outputs: those of its output: the same, or the last of each prompt.
        positions: of every key, and of the queries at the outputs.
    """

    inputs: Span
    outputs: Span
    positions: blocks.Positions

    def at_outputs(self, x: OfTokens) -> Float[Tensor, "1 rows 1 outputs d"]:
        """The part of an input where the output is needed."""
        return x if self.outputs is self.inputs else x.index_select(3, self.inputs.ends)


def layouts(model: Transformer, batch: Batch, first: Int[Tensor, " batch"]) -> list[Layout]:
    """Every layer's, from the first positions on; the last layer's output is needed at the end."""

    def layout(outputs: Span) -> Layout:
        positions = positions_of(model, batch.clean)
        positions.focus(outputs.index)
        return Layout(span, outputs, positions)

    span, reads = Span.of(first, batch.read_at), Span.of(batch.read_at, batch.read_at)
    return [layout(span)] * (model.shape.n_layers - 1) + [layout(reads)]


def through_layer(
    model: Transformer,
    index: int,
    x: OfTokens,
    layout: Layout,
    known: tuple[OfAnotherRun, OfAnotherRun],
    edit: Edit = unchanged,
) -> Passed:
    """One layer.

    Args:
        model: the model.
        index: which layer.
        x: the residual stream before it.
        layout: at which tokens.
        known: keys and values of another run, which stand where `x` is not; the rows of `x` are
            as many, or a multiple.
        edit: sees what attention and MLP add.
    """
    layer = model.weights.layers[index]
    block, here = layer.attention, layout.at_outputs(x)
    made = project_heads(block.norm(x), *block.projections[1:])
    keys, values = (layout.inputs.written_into(*pair) for pair in zip(known, made, strict=True))
    (q,) = project_heads(block.norm(here), block.projections[0])
    q = layout.outputs.in_columns(q)
    z = layout.outputs.of_columns(blocks.attention(block, q, keys, values, layout.positions))
    out = blocks.write_heads(z, block.W_O)[None]
    attention = edit(Restored.attention, out if block.b_O is None else out + block.b_O)
    read = here if model.graph.parallel else here + attention
    mlp = edit(Restored.mlp, blocks.mlp(layer.mlp, read))
    return Passed(attention, mlp, keys, values, here + attention + mlp)


@torch.no_grad()
def clean_trace(model: Transformer, batch: Batch) -> Trace:
    """The run of the prompts as they are, one row."""
    shape, stream = model.shape, embedded(model, batch.clean)[None, None]
    nothing = torch.zeros_like(stream)
    heads = stream.new_zeros(shape.n_key_value_heads, *stream.shape[1:4], shape.d_head)
    nowhere = Trace(
        states=(stream, *[nothing] * shape.n_layers),
        attention=(nothing,) * shape.n_layers,
        mlps=(nothing,) * shape.n_layers,
        keys=(heads.to(model.dtype),) * shape.n_layers,
        values=(heads.to(model.dtype),) * shape.n_layers,
    )
    count_parts(forward=float(len(batch)))
    return _traced(model, batch, nowhere, stream[0], torch.zeros_like(batch.read_at))


@torch.no_grad()
def changed_trace(
    model: Transformer,
    batch: Batch,
    clean: Trace,
    embeddings: Float[Tensor, "rows batch pos d_model"],
    first: Int[Tensor, " batch"],
) -> Trace:
    """The run from other embeddings, a row for each.

    Args:
        model: the model.
        batch: the prompts.
        clean: their run as they are.
        embeddings: the residual stream before layer 0, the clean one before `first`.
        first: the first position that differs, of each prompt.
    """
    count_rows(model, len(embeddings), Span.of(first, batch.read_at), batch, model.shape.n_layers)
    return _traced(model, batch, clean, embeddings, first)


def count_rows(model: Transformer, n_rows: int, span: Span, batch: Batch, n_layers: int) -> None:
    """Count rows that ran some of the layers, at some of the positions."""
    share = n_layers / model.shape.n_layers * len(span.prompts) / batch.clean.numel()
    count_parts(forward=n_rows * len(batch) * share)


def _traced(
    model: Transformer, batch: Batch, known: Trace, embeddings: Tensor, first: Tensor
) -> Trace:
    """The run from the first positions on; before them and behind the read ones `known` stands."""
    x, states, parts = None, [embeddings[None]], []
    for index, layout in enumerate(layouts(model, batch, first)):
        x = layout.inputs.of_values(embeddings[None]) if x is None else x
        before = known.keys[index], known.values[index]
        passed = through_layer(model, index, x, layout, before)
        x, write = passed.state, layout.outputs.written_into
        states.append(write(known.states[index + 1], x))
        attention = write(known.attention[index], passed.attention)
        parts.append((attention, write(known.mlps[index], passed.mlp), passed.keys, passed.values))
    return Trace(tuple(states), *zip(*parts, strict=True))

"""The residual stream between layers, and what becomes of it when attention is replaced.

A lens reads a state before some layer. The states of chosen places, with what each layer's
attention adds there, come from one plain pass; from a state, a place can be carried to the end of
the model alone, because without attention no place reads another (Li & Janson 2024, arXiv
2409.09951, section 5: optimal constant attention).

What attention adds is all that its block writes into the stream: every head, the output bias, and
the post-norm where a family has one. A block whose MLP runs in parallel reads the state itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.forward.layers import embedded, positions_of, run, run_layers, unembedded
from benchmark.forward.streams import PlainStream
from benchmark.meter import count_passes
from benchmark.transformer.blocks import mlp, write_heads
from benchmark.transformer.transformer import Transformer
from benchmark.transformer.weights import Attention

# What attention adds in a layer, for all rows or each: [rows or 1, places or 1, d_model].
AttentionOf = Callable[[int], Tensor]


@dataclass(frozen=True, eq=False)
class States:
    """The residual stream at some places of some prompts.

    Attributes:
        before: before every layer, and after the last one.
        attention: what each layer's attention adds.
    """

    before: Float[Tensor, "layers_and_end places d_model"]
    attention: Float[Tensor, "layers places d_model"]

    def select(self, rows: Int[Tensor, " chosen"]) -> "States":
        """Some of the places."""
        return States(self.before[:, rows], self.attention[:, rows])


@torch.no_grad()
def states_at(
    model: Transformer, tokens: Int[Tensor, "batch pos"], places: Bool[Tensor, "batch pos"]
) -> States:
    """The states at the marked places, prompt after prompt, in one pass.

    Raises:
        UserError: prompts are longer than the model's context, or hold unknown tokens.
    """
    # Found once: an index of booleans is looked at, and a GPU waited for, wherever it is used.
    at = tuple(index.to(model.device) for index in places.nonzero(as_tuple=True))
    attention: list[Tensor] = []
    before = _streams(model, tokens.to(model.device), lambda out: attention.append(out[0][at]))
    return States(torch.stack([x[0, 0][at] for x in before]), torch.stack(attention))


def streams(
    model: Transformer, tokens: Int[Tensor, "batch pos"]
) -> tuple[Float[Tensor, "1 1 batch pos d_model"], ...]:
    """The whole residual stream before every layer and at the end, differentiable in each other."""
    return tuple(_streams(model, tokens.to(model.device), lambda _: None, with_gradient=True))


def _streams(
    model: Transformer,
    tokens: Tensor,
    at_attention: Callable[[Tensor], None],
    with_gradient: bool = False,
) -> list[Tensor]:
    x = embedded(model, tokens)[None, None]
    stream = _WatchedStream(x.requires_grad_() if with_gradient else x, at_attention)
    before: list[Tensor] = []
    positions = positions_of(model, tokens)
    run_layers(model, stream, positions, before_layer=lambda _: before.append(stream.x))
    count_passes(stream.x, len(tokens))
    return [*before, stream.x]


class _WatchedStream(PlainStream):
    """A plain stream that shows what every layer's attention adds."""

    def __init__(self, x: Tensor, at_attention: Callable[[Tensor], None]) -> None:
        super().__init__(x)
        self._at_attention = at_attention

    def write_heads(self, layer: int, z: Tensor, block: Attention) -> None:
        out = write_heads(z, block.W_O)
        self._at_attention(out if block.b_O is None else out + block.b_O)
        super().write_heads(layer, z, block)


def without_attention(
    model: Transformer,
    states: Float[Tensor, "rows places d_model"],
    start_layer: int,
    attention: AttentionOf,
) -> Float[Tensor, "rows places d_model"]:
    """The final states of places that go on from `start_layer` with their attention replaced.

    Every place runs the MLPs alone. Not counted as passes: no whole layer runs.
    """
    for layer in range(start_layer, model.shape.n_layers):
        states = _one_layer(model, layer, states, attention(layer))
    return states


def without_attention_from_each(
    model: Transformer,
    states: Sequence[Float[Tensor, "places d_model"]] | Float[Tensor, "layers places d_model"],
    attention: AttentionOf,
) -> Float[Tensor, "layers places d_model"]:
    """The same from every layer at once: row l starts at layer l.

    Args:
        model: the model.
        states: the state before each layer.
        attention: of layer k, for all of its k + 1 rows or each.
    """
    rows = states[0][None]
    for layer in range(model.shape.n_layers):
        if layer:
            rows = torch.cat([rows, states[layer][None]])
        rows = _one_layer(model, layer, rows, attention(layer))
    return rows


def _one_layer(model: Transformer, layer: int, states: Tensor, attention: Tensor) -> Tensor:
    after = states + attention
    x = states if model.graph.parallel else after
    return after + mlp(model.weights.layers[layer].mlp, x[None, :, :, None])[0, :, :, 0]


def logits_of_final(
    model: Transformer, final: Float[Tensor, "*places d_model"]
) -> Float[Tensor, "*places vocab"]:
    """Final norm, unembedding and soft-cap of final states."""
    return unembedded(model, final)


@torch.no_grad()
def logits_from(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    read_at: Int[Tensor, " batch"],
    stream: Float[Tensor, "batch pos d_model"],
    states: Float[Tensor, "rows batch d_model"],
    start_layer: int,
) -> Float[Tensor, "rows batch vocab"]:
    """Logits at the read positions where the state there is replaced before a layer.

    Args:
        model: the model.
        tokens: the prompts.
        read_at: the positions whose states are replaced and whose logits are given.
        stream: the stream before the layer, everywhere.
        states: what stands at the read positions instead, row by row.
        start_layer: the layer.
    """
    x = stream.expand(len(states), *stream.shape).clone()
    x[:, torch.arange(len(tokens)), read_at] = states
    return run(model, PlainStream(x[None]), tokens, read_at, start_layer=start_layer)[0]

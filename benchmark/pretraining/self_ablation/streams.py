"""Two residual streams on the weights of one GPT-Neo model: the clean one, and the ablated one.

The clean stream is the ordinary model. In the ablated stream (Ferrao et al. 2025) every position
is ablated by itself and sees an unablated past: its queries come from the ablated stream, keys and
values of other positions from the clean one, its own key and value from the ablated one. What
heads put out, before the output projection, and what MLP neurons hold is multiplied by masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Units = tuple[Float[Tensor, "batch position width"], Float[Tensor, "batch position neurons"]]
Masks = Units
PerHead = Float[Tensor, "batch head position d_head"]


@dataclass(frozen=True)
class CleanStream:
    """What a pass of the ordinary model leaves.

    Attributes:
        states: what enters each layer, and what leaves the last, [batch, position, width].
        final: the last state after the final norm.
        keys, values: of each layer, [batch, head, position, d_head].
        units: what attention's units and neurons hold in each layer.
    """

    states: list[Float[Tensor, "batch position width"]]
    final: Float[Tensor, "batch position width"]
    keys: list[PerHead]
    values: list[PerHead]
    units: list[Units]


@dataclass(frozen=True)
class AblatedStream:
    """What the ablated stream leaves: what leaves each layer, and the last after the final norm."""

    states: list[Float[Tensor, "batch position width"]]
    final: Float[Tensor, "batch position width"]


def clean_stream(model: Any, tokens: Int[Tensor, "batch position"]) -> CleanStream:  # noqa: ANN401
    """The stream of a Hugging Face GPT-Neo model, in training mode without dropout."""
    body = model.transformer
    state = body.wte(tokens) + body.wpe.weight[: tokens.shape[1]]
    stream = CleanStream([state], state, [], [], [])
    for block in body.h:
        attention = block.attn.attention
        queries, keys, values = _projected(attention, block.ln_1(state))
        mixed = _merged(_weights(_scores(queries, keys), attention, values) @ values)
        state = attention.out_proj(mixed) + state
        neurons = _neurons(block, state)
        state = state + block.mlp.c_proj(neurons)
        stream.states.append(state)
        stream.keys.append(keys)
        stream.values.append(values)
        stream.units.append((mixed, neurons))
    return replace(stream, final=body.ln_f(state))


def ablated_stream(model: Any, clean: CleanStream, masks: Sequence[Masks]) -> AblatedStream:  # noqa: ANN401
    """The ablated stream beside a clean one, with the masks of each layer."""
    state, states = clean.states[0], []
    for layer, block in enumerate(model.transformer.h):
        on_attention, on_neurons = masks[layer]
        mixed = _mixed(block, state, clean.keys[layer], clean.values[layer])
        state = block.attn.attention.out_proj(on_attention * mixed) + state
        state = state + block.mlp.c_proj(on_neurons * _neurons(block, state))
        states.append(state)
    return AblatedStream(states, model.transformer.ln_f(state))


def _mixed(block: Any, state: Tensor, keys: PerHead, values: PerHead) -> Tensor:  # noqa: ANN401
    """What the heads put out where only the own position is ablated, [batch, position, width]."""
    attention = block.attn.attention
    queries, own_keys, own_values = _projected(attention, block.ln_1(state))
    own = (queries * own_keys.to(queries.dtype)).sum(-1)
    scores = torch.diagonal_scatter(_scores(queries, keys), own, dim1=-2, dim2=-1)
    weights = _weights(scores, attention, values)
    own_weights = weights.diagonal(dim1=-2, dim2=-1)[..., None]
    return _merged(weights @ values + own_weights * (own_values - values))


def _neurons(block: Any, state: Tensor) -> Float[Tensor, "batch position neurons"]:  # noqa: ANN401
    return block.mlp.act(block.mlp.c_fc(block.ln_2(state)))


def _projected(attention: Any, normed: Tensor) -> tuple[PerHead, PerHead, PerHead]:  # noqa: ANN401
    """Queries, keys and values; queries in float32, in which Hugging Face takes their products."""
    queries, keys, values = (
        projection(normed).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return queries.float(), keys, values


def _scores(queries: PerHead, keys: PerHead) -> Float[Tensor, "batch head position position"]:
    """Unscaled products, in the precision of the queries."""
    return queries @ keys.to(queries.dtype).transpose(-1, -2)


def _weights(scores: Tensor, attention: Any, values: PerHead) -> Tensor:  # noqa: ANN401
    """Attention weights in the precision of the values, by the layer's own causal mask."""
    length = scores.shape[-1]
    seen: Bool[Tensor, "position position"] = attention.bias[0, 0, :length, :length]
    hidden = values.new_zeros(seen.shape).masked_fill_(~seen, float("-inf"))
    return (scores + hidden).softmax(-1)


def _merged(per_head: PerHead) -> Float[Tensor, "batch position width"]:
    return per_head.transpose(1, 2).flatten(2)

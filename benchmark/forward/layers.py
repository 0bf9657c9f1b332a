"""The layer loop that every forward pass shares, whatever its residual stream."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.streams import Stream
from benchmark.meter import count_passes
from benchmark.transformer import blocks
from benchmark.transformer.sites import AtLayerSite, AtSite, untouched_everywhere
from benchmark.transformer.transformer import Transformer


def run(
    model: Transformer,
    stream: Stream,
    tokens: Tensor,
    read_at: Tensor | None,
    *,
    start_layer: int = 0,
    focus_last_layer: bool = True,
    at: AtLayerSite = untouched_everywhere,
) -> Float[Tensor, "1 masks batch *pos vocab"]:
    """Run the layers and the unembedding; count the passes. `at` sees every site's activation.

    `read_at` is one position of each prompt or, with an axis more, several; None is all.
    """
    graph, n_layers = model.graph, model.shape.n_layers
    positions = positions_of(model, tokens)
    reads = None if read_at is None else read_at.to(tokens.device).reshape(len(tokens), -1)
    run_layers(model, stream, positions, start_layer, reads if focus_last_layer else None, at=at)
    if reads is not None and positions.read_at is None:
        stream.focus(reads, graph.n_sources)
    logits = unembedded(model, stream.read(graph.logits_stage()))
    count_passes(logits, logits.shape[1] * len(tokens), (n_layers - start_layer) / n_layers)
    return logits.squeeze(-2) if read_at is not None and read_at.dim() == 1 else logits


def run_layers(
    model: Transformer,
    stream: Stream,
    positions: blocks.Positions,
    start_layer: int = 0,
    focus_at: Tensor | None = None,
    before_layer: Callable[[int], None] = lambda _: None,
    at: AtLayerSite = untouched_everywhere,
) -> None:
    """Run the layers from `start_layer` on, the last one at the positions `focus_at` if given."""
    last = model.shape.n_layers - 1
    for index in range(start_layer, last + 1):
        before_layer(index)
        focus = focus_at if index == last else None
        _run_layer(model, stream, positions, index, focus, partial(at, index))


def _run_layer(
    model: Transformer,
    stream: Stream,
    positions: blocks.Positions,
    index: int,
    focus_at: Tensor | None,
    at: AtSite,
) -> None:
    """One block: its readers read before its sources write."""
    graph, layer = model.graph, model.weights.layers[index]
    norm, (to_q, to_k, to_v) = layer.attention.norm, layer.attention.projections
    if focus_at is None:
        q, k, v = stream.project(graph.qkv_stage(index), norm, to_q, to_k, to_v)
    else:
        k, v = stream.project(graph.kv_stage(index), norm, to_k, to_v)
        stream.focus(focus_at, graph.head_source(index))
        positions.focus(focus_at)
        (q,) = stream.project(graph.q_stage(index), norm, to_q)
    x_mlp = stream.read(graph.mlp_stage(index)) if graph.parallel else None
    z = blocks.attention(layer.attention, q, k, v, positions, at)
    stream.write_heads(index, z, layer.attention)
    if x_mlp is None:
        x_mlp = stream.read(graph.mlp_stage(index))
    stream.write_mlp(index, blocks.mlp(layer.mlp, stream.needed_by_mlp(index, x_mlp), at))


def embedded(model: Transformer, tokens: Tensor) -> Float[Tensor, "batch pos d_model"]:
    """The residual stream before layer 0, in the stream's precision.

    Raises:
        UserError: prompts are longer than the model's context, or (looked at on a CPU only) hold
            unknown tokens.
    """
    shape = model.shape
    if tokens.shape[1] > shape.n_ctx:
        raise UserError(
            f"prompts of {tokens.shape[1]} tokens do not fit the model's context of {shape.n_ctx}"
        )
    # On a GPU, looking at the tokens would make the pass wait for everything before it.
    on_cpu = tokens.device.type == "cpu"
    if on_cpu and not 0 <= int(tokens.min()) <= int(tokens.max()) < shape.d_vocab:
        raise UserError(
            f"tokens {int(tokens.min())}..{int(tokens.max())} are not all among the model's "
            f"0..{shape.d_vocab - 1}; use the model's own tokenizer"
        )
    return model.weights.embed(tokens).to(model.stream_dtype)


def positions_of(model: Transformer, tokens: Tensor) -> blocks.Positions:
    """Rotary tables and visibility for these prompts."""
    return blocks.Positions(tokens.shape[1], model.dtype, tokens.device)


def unembedded(model: Transformer, x: Tensor) -> Tensor:
    """Logits from the final residual stream, in the stream's precision."""
    weights = model.weights
    logits = (weights.final_norm(x).to(model.dtype) @ weights.W_U).to(model.stream_dtype)
    cap = weights.final_softcap
    return logits if cap is None else torch.tanh(logits / cap) * cap

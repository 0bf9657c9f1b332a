"""The forward passes: plain, recording, and masked.

Plain passes are ordinary; `clean_run` can record the value of every source on its way. The
masked pass gives each destination its own mixture of live and ablated sources (mixture.py), for
many masks at once, differentiable in the masks and in the ablation values, and reads logits only
where they are asked for: in the last layer queries, MLP and unembedding run at the read
positions alone.

Multiply-adds of one masked pass of R rows (masks x prompts) of T positions, L layers of H
heads, width d, MLP width m, E edges, vocabulary V, one read position per prompt:

    R T [ E d  +  L (4 d^2 + 2 d m)  +  L H T d_head ]  +  R d V

(an ordinary forward pass has R T (L (4 d^2 + 2 d m) + L H T d_head + d V)), with E about
3/2 L^2 H^2; the backward pass costs R T [2 E d + L (4 d^2 + 2 d m)] more. Memory in numbers of
the stream's precision: R T d (S + 3 H L) with gradient, R T d (S + 3 H) without (S = sources).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.buffer import Buffer
from benchmark.forward.checks import (
    Masks,
    Prefix,
    as_masks,
    check_prefix,
    check_read_positions,
    fitted_values,
    neurons_of_masks,
    values_versions,
)
from benchmark.forward.layers import embedded, positions_of, run, run_layers
from benchmark.forward.mixture import Mixture
from benchmark.forward.streams import MaskedStream, PlainStream
from benchmark.forward.values import SourceValues
from benchmark.graph.mask import EdgeMask
from benchmark.meter import count_passes
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer


def clean_logits(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    read_at: Int[Tensor, "batch *reads"] | None = None,
) -> Float[Tensor, "batch *pos vocab"]:
    """Logits of the unablated model: at `read_at`, or at every position if it is None.

    With several read positions of each prompt, the logits have an axis of as many.
    """
    tokens = tokens.to(model.device)
    stream = PlainStream(embedded(model, tokens)[None, None])
    return run(model, stream, tokens, read_at)[0, 0]


def logits_of_inputs(
    model: Transformer, inputs: Float[Tensor, "points batch pos d_model"], batch: Batch
) -> Float[Tensor, "points batch vocab"]:
    """Logits of the clean prompts with other embeddings, several for each, at `batch.read_at`.

    Differentiable in the embeddings.
    """
    return run(model, PlainStream(inputs[None]), batch.clean, batch.read_at)[0]


@torch.no_grad()
def clean_run(
    model: Transformer, tokens: Int[Tensor, "batch pos"], read_at: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch vocab"], SourceValues]:
    """Logits at `read_at` and the value of every source at every position, in one pass."""
    tokens = tokens.to(model.device)
    record = empty_record(model, *tokens.shape)
    stream = PlainStream(embedded(model, tokens)[None, None], record)
    logits = run(model, stream, tokens, read_at, focus_last_layer=False)
    return logits[0, 0], stream.source_values()


@torch.no_grad()
def source_values(model: Transformer, tokens: Int[Tensor, "batch pos"]) -> SourceValues:
    """The value of every source at every position, without computing logits."""
    tokens = tokens.to(model.device)
    record = empty_record(model, *tokens.shape)
    stream = PlainStream(embedded(model, tokens)[None, None], record)
    positions = positions_of(model, tokens)
    run_layers(model, stream, positions)
    count_passes(record.input, len(tokens))
    return stream.source_values()


def masked_logits(
    model: Transformer,
    mask: Masks,
    batch: Batch,
    values: SourceValues,
    *,
    every_position: bool = False,
    read_at: Int[Tensor, "batch reads"] | None = None,
    start_layer: int = 0,
    prefix: Prefix | None = None,
    constants_learn_below: float | None = None,
    neurons: Float[Tensor, "*masks src d_model"] | None = None,
) -> Float[Tensor, "*shape vocab"]:
    """Logits of the ablated model on the clean prompts: [masks, batch, vocab].

    The first axis is there if the mask has one; with `every_position` or `read_at` a position axis
    follows the batch.

    Args:
        model: the model.
        mask: an `EdgeMask`, or a tensor with or without a leading axis of masks, meant to
            lie in [0, 1]; a last axis of size 1 makes it a node mask (each source one value).
        batch: the prompts; logits are read at `batch.read_at`.
        values: what absent edges carry; see `SourceValues` for `keep_first`.
        every_position: logits at every position instead of the read positions.
        read_at: positions of each prompt to be read instead, in its padding too.
        start_layer: with `prefix`, reuse its layers before this one (all of them if it is the
            number of layers). The masks must agree with the prefix on every edge into those
            layers, and get no gradient for them (so the gradient of a node mask, whose values
            serve all layers, is partial).
        prefix: from `masked_prefix` with the same batch and the same `values` object.
        constants_learn_below: if given, an ablation value receives gradient only from edges
            whose mask is below this (1e-3 in Li & Janson 2024, section 1.1); the default is the
            true derivative.
        neurons: how much of each coordinate that a source writes is kept (1 keep, 0 ablate,
            between = interpolate) on the edges that the mask keeps; for all masks, or each.
            An ablated coordinate's constant learns from every edge.

    Raises:
        UserError: something does not fit the model or the batch, or a kept first position is read.
    """
    if not every_position:
        check_read_positions(values.keep_first, batch)
    masks, batch = as_masks(model, mask), _on_device(model, batch)
    check_prefix(model, masks, batch, values, prefix, start_layer)
    values = fitted_values(model, values, len(masks), batch)
    neurons = None if neurons is None else neurons_of_masks(model, neurons, len(masks), start_layer)
    learn_below = constants_learn_below
    stream = _opened(model, masks, batch, values, prefix, start_layer, learn_below, neurons)
    read_at = batch.read_at if read_at is None else read_at
    read_at = None if every_position else read_at
    logits = run(model, stream, batch.clean, read_at, start_layer=start_layer)[0]
    keep = mask.keep if isinstance(mask, EdgeMask) else mask
    return logits if keep.dim() == 3 else logits[0]


@torch.no_grad()
def masked_prefix(
    model: Transformer, mask: EdgeMask | Tensor, batch: Batch, values: SourceValues
) -> Prefix:
    """Run one mask and keep what `masked_logits` needs to continue from any later layer."""
    masks, batch = as_masks(model, mask), _on_device(model, batch)
    if len(masks) != 1:
        raise UserError(f"a prefix is made of one mask; {len(masks)} were given")
    fitted = fitted_values(model, values, 1, batch)
    stream = _opened(model, masks, batch, fitted)
    # Masks that continue may keep what this one does not.
    stream.mixture.unread = None
    buffer = stream.mixture.buffer
    bases: list[Tensor] = []
    run_layers(
        model,
        stream,
        positions_of(model, batch.clean),
        before_layer=lambda _: bases.append(buffer.base[0].clone()),
    )
    bases.append(buffer.base[0].clone())
    count_passes(masks, len(batch))
    return Prefix(
        weights=model.weights,
        mask=masks[0].clone(),
        tokens=batch.clean.clone(),
        values=values,
        versions=values_versions(values),
        differences=buffer.live[1:, 0],
        bases=tuple(bases),
    )


def _on_device(model: Transformer, batch: Batch) -> Batch:
    return batch if batch.clean.device == model.device else batch.to(model.device)


def empty_record(model: Transformer, n_prompts: int, n_positions: int) -> SourceValues:
    """Room for the value of every source at every position."""
    shape, device = model.shape, model.device
    rows = 1, n_prompts, n_positions

    def empty(*sizes: int) -> Tensor:
        return torch.empty(sizes, dtype=model.stream_dtype, device=device)

    return SourceValues(
        input=empty(*rows, shape.d_model),
        heads=empty(shape.n_layers, shape.n_heads, *rows, shape.d_head),
        mlps=empty(shape.n_layers, *rows, shape.d_model),
        keep_first=False,
    )


def _opened(
    model: Transformer,
    masks: Tensor,
    batch: Batch,
    values: SourceValues,
    prefix: Prefix | None = None,
    start_layer: int = 0,
    constants_learn_below: float | None = None,
    neurons: Tensor | None = None,
) -> MaskedStream:
    """A masked stream with everything written that comes before `start_layer`."""
    graph = model.graph
    shared = None if prefix is None else prefix.differences[: graph.head_source(start_layer)]
    n_live = graph.n_sources - (0 if shared is None else len(shared))
    sizes = 1 + n_live, len(masks), *batch.clean.shape, model.shape.d_model
    live = torch.empty(sizes, dtype=model.stream_dtype, device=model.device)
    live[0] = 0 if prefix is None else prefix.bases[start_layer]
    layers, buffer = model.weights.layers, Buffer(live, shared)
    mixture = Mixture(graph, layers, masks, values, buffer, constants_learn_below, neurons)
    stream = MaskedStream(mixture, masks, values)
    if prefix is None:
        stream.write_input(embedded(model, batch.clean))
    return stream

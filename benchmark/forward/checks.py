"""Checking everything that meets in a masked pass: model, masks, prompts, values, prefix."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.values import SourceValues, version_of
from benchmark.graph.mask import EdgeMask
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer
from benchmark.transformer.weights import Weights

# Tensors are [src, dst] or [masks, src, dst]; `as_masks` says so to whoever gives another.
Masks = EdgeMask | Float[Tensor, "..."]


@dataclass(frozen=True, eq=False)
class Prefix:
    """A finished masked pass of one mask, to be continued from a later layer.

    Attributes:
        weights: the model's.
        mask: the mask of that pass.
        tokens: its clean prompts.
        values: its ablation values; continue with the same object.
        versions: of their tensors, to notice a change in place.
        differences: live minus ablation value of every source at every position.
        bases: before each layer and the logits, the sum of all ablation values and biases so far.
    """

    weights: Weights
    mask: Float[Tensor, "src dst"]
    tokens: Int[Tensor, "batch pos"]
    values: SourceValues
    versions: tuple[int, ...]
    differences: Float[Tensor, "src batch pos d_model"]
    bases: tuple[Float[Tensor, "batch pos d_model"], ...]


def as_masks(model: Transformer, mask: Masks) -> Float[Tensor, "masks src dst"]:
    """One mask or several as a stack, on the model's device and in its stream's precision.

    Raises:
        UserError: the mask does not fit the model's graph.
    """
    graph, keep = model.graph, mask.keep if isinstance(mask, EdgeMask) else mask
    if isinstance(mask, EdgeMask) and mask.graph != graph:
        raise UserError("the mask belongs to another graph than the model's")
    allowed = [(graph.n_sources, graph.n_destinations), (graph.n_sources, 1)]
    if keep.dim() not in (2, 3) or tuple(keep.shape[-2:]) not in allowed or not len(keep):
        raise UserError(
            f"masks of shape {tuple(keep.shape)} do not fit this model; an edge mask has "
            f"{allowed[0]} and a node mask {allowed[1]}, with a first axis for several masks"
        )
    keep = keep.to(device=model.device, dtype=model.stream_dtype)
    return keep if keep.dim() == 3 else keep[None]


def neurons_of_masks(
    model: Transformer, neurons: Float[Tensor, "*masks src d_model"], n_masks: int, start_layer: int
) -> Float[Tensor, "src rows 1 1 d_model"]:
    """How much of each source's coordinates is kept, with the axes of what sources write.

    Raises:
        UserError: they fit neither model nor masks, ask for gradient, or meet a prefix.
    """
    allowed = model.graph.n_sources, model.shape.d_model
    if neurons.shape not in (allowed, (n_masks, *allowed)):
        raise UserError(
            f"neurons of shape {tuple(neurons.shape)} do not fit this model; give {allowed}, or "
            f"{(n_masks, *allowed)} for neurons of each mask"
        )
    if start_layer != 0:
        raise UserError(f"neurons need a whole pass; give start_layer=0, not {start_layer}")
    if neurons.requires_grad:
        raise UserError("neurons receive no gradient; give neurons.detach()")
    rows = neurons.to(device=model.device, dtype=model.stream_dtype).view(-1, *allowed)
    return rows.transpose(0, 1)[:, :, None, None]


def fitted_values(
    model: Transformer, values: SourceValues, n_masks: int, batch: Batch
) -> SourceValues:
    """The ablation values on the model's device and in its stream's precision.

    Raises:
        UserError: they belong to another model, or to other masks, prompts or positions.
    """
    shape = model.shape
    sizes = [(*x.shape[:-4], x.shape[-1]) for x in values.tensors]
    heads = shape.n_layers, shape.n_heads, shape.d_head
    if sizes != [(shape.d_model,), heads, (shape.n_layers, shape.d_model)]:
        raise UserError("the ablation values were made for a model of another shape")
    allowed = n_masks, len(batch), batch.n_positions
    if any(size not in (1, full) for size, full in zip(values.axes, allowed, strict=True)):
        raise UserError(
            f"ablation values for (masks, prompts, positions) {values.axes} do not fit {allowed}; "
            "each must be equal or 1"
        )
    wanted = model.device, model.stream_dtype
    if all((tensor.device, tensor.dtype) == wanted for tensor in values.tensors):
        return values
    return values.map(lambda tensor: tensor.to(*wanted))


def values_versions(values: SourceValues) -> tuple[int, ...]:
    """Numbers that change when a value is changed in place."""
    return tuple(version_of(tensor) for tensor in values.tensors)


def check_read_positions(keep_first: bool, batch: Batch) -> None:
    """Refuse to read where nothing is ever ablated.

    Raises:
        UserError: a prompt on the CPU is read at position 0, which ablation values keep.
    """
    # On a GPU, to look is to wait; the prompts of a cell were looked at before they moved there.
    if keep_first and batch.read_at.device.type == "cpu" and bool((batch.read_at == 0).any()):
        raise UserError("a prompt is read at position 0, which keep_first never ablates")


def check_prefix(
    model: Transformer,
    masks: Tensor,
    batch: Batch,
    values: SourceValues,
    prefix: Prefix | None,
    start_layer: int,
) -> None:
    """Check that a pass may start at this layer.

    Raises:
        UserError: there is no prefix, or it belongs to other prompts, values or masks.
    """
    if prefix is None:
        if start_layer != 0:
            raise UserError(f"start_layer={start_layer} needs a prefix; make one by masked_prefix")
        return
    if not 0 < start_layer <= model.shape.n_layers:
        raise UserError(f"start_layer must lie in 1..{model.shape.n_layers}, not {start_layer}")
    if values.requires_grad or values.axes[0] != 1:
        raise UserError("ablation values that are learned or differ by mask need start_layer=0")
    same_values = prefix.values is values and prefix.versions == values_versions(values)
    same_prompts = torch.equal(prefix.tokens, batch.clean)
    if prefix.weights is not model.weights or not same_values or not same_prompts:
        raise UserError("the prefix was made with another model, other prompts or ablation values")
    if not _same_before(model, masks, prefix.mask, start_layer):
        raise UserError(f"the masks differ from the prefix's on edges before layer {start_layer}")


def _same_before(model: Transformer, masks: Tensor, mask: Tensor, layer: int) -> bool:
    """Whether all masks agree on the edges into layers before this one."""
    if masks.shape[1:] != mask.shape:
        return False
    if masks.shape[-1] == 1:
        n_sources = model.graph.mlp_stage(layer - 1).n_sources
        return bool((masks[:, :n_sources] == mask[:n_sources]).all())
    before = model.graph.qkv_stage(layer).start
    return bool((masks[..., :before] == mask[..., :before]).all())

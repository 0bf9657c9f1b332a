"""Checking everything that meets in a masked pass: model, masks, prompts, values, prefix."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from benchmark.batch import Batch
from benchmark.errors import UserError
from benchmark.mask import EdgeMask
from benchmark.transformer import Transformer
from benchmark.values import SourceValues

Masks = EdgeMask | Float[Tensor, "*masks src dst"]


@dataclass(frozen=True, eq=False)
class Prefix:
    """A finished masked pass of one mask, to be continued from a later layer.

    Attributes:
        mask: the mask of that pass.
        differences: live minus ablation value of every source at every position.
        bases: before each layer, the sum of all ablation values and biases written so far.
    """

    mask: Float[Tensor, "src dst"]
    differences: Float[Tensor, "src batch pos d_model"]
    bases: tuple[Float[Tensor, "batch pos d_model"], ...]


def mask_rows(model: Transformer, mask: Masks) -> Float[Tensor, "masks src dst"]:
    """A mask or masks as rows, on the model's device and in its stream's precision."""
    keep = mask.keep if isinstance(mask, EdgeMask) else mask
    if isinstance(mask, EdgeMask) and mask.graph != model.graph:
        raise UserError("the mask belongs to another graph than the model's")
    keep = keep.to(device=model.device, dtype=model.stream_dtype)
    return keep if keep.dim() == 3 else keep[None]


def check_sizes(
    model: Transformer,
    rows: Tensor,
    batch: Batch,
    values: SourceValues,
    read_at: Tensor | None,
) -> None:
    """Compare the sizes of everything that meets in a masked pass."""
    graph = model.graph
    if rows.shape[1] != graph.n_sources or rows.shape[2] not in (1, graph.n_destinations):
        raise UserError(
            f"masks of shape {tuple(rows.shape[1:])} do not fit this model; an edge mask has "
            f"{(graph.n_sources, graph.n_destinations)} and a node mask {(graph.n_sources, 1)}"
        )
    allowed = (len(rows), len(batch), batch.n_positions)
    if any(size not in (1, full) for size, full in zip(values.axes, allowed, strict=True)):
        raise UserError(
            f"ablation values for (masks, prompts, positions) {values.axes} do not fit {allowed}; "
            "each must be equal or 1"
        )
    if values.keep_first and read_at is not None and bool((read_at == 0).any()):
        raise UserError("a prompt is read at position 0, which keep_first never ablates")


def check_prefix(
    model: Transformer,
    rows: Tensor,
    values: SourceValues,
    prefix: Prefix | None,
    start_layer: int,
) -> int:
    """The layer to start from, after checking that the prefix fits."""
    if prefix is None:
        if start_layer != 0:
            raise UserError(f"start_layer={start_layer} needs a prefix; make one by masked_prefix")
        return 0
    if not 0 < start_layer < model.shape.n_layers:
        raise UserError(f"start_layer must lie in 1..{model.shape.n_layers - 1}, not {start_layer}")
    if values.requires_grad or values.axes[0] != 1:
        raise UserError("ablation values that are learned or differ by mask need start_layer=0")
    before = model.graph.qkv_stage(start_layer).start
    if rows.shape[-1] == 1:
        before = model.graph.mlp_stage(start_layer - 1).n_sources
        mine, theirs = rows[:, :before], prefix.mask[:before]
    else:
        before = model.graph.qkv_stage(start_layer).start
        mine, theirs = rows[..., :before], prefix.mask[..., :before]
    if rows.shape[1:] != prefix.mask.shape or not bool((mine == theirs).all()):
        raise UserError(f"the masks differ from the prefix's on edges before layer {start_layer}")
    return start_layer

"""What sources write into the residual stream, and by how much it differs from their ablation."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.forward.values import SourceValues, at_positions
from benchmark.graph.graph import Stage
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True)
class Differences:
    """Live minus ablation value of every source, as written into the residual stream.

    Sources of the last layer are only ever read at the read positions.
    """

    everywhere: Float[Tensor, "early batch pos d_model"]
    at_reads: Float[Tensor, "src batch 1 d_model"]

    @classmethod
    def of(
        cls,
        model: Transformer,
        live: SourceValues,
        replacement: SourceValues,
        read_at: Int[Tensor, " batch"],
    ) -> "Differences":
        """The differences of one batch."""
        last = model.shape.n_layers - 1
        pairs = zip(live.tensors, replacement.tensors, strict=True)
        difference = SourceValues(*(x - c for x, c in pairs), keep_first=replacement.keep_first)
        everywhere = written(model, difference, range(last))
        if replacement.keep_first:
            everywhere[..., 0, :] = 0
        reads = read_at.to(model.device)[:, None]
        late = written(model, difference.map(lambda x: at_positions(x, reads)), [last])
        early = at_positions(everywhere, reads)
        return cls(everywhere, torch.cat([early, late[1:]]))

    def of_stage(self, stage: Stage, focused: bool) -> Tensor:
        """Those that a stage reads."""
        return self.at(focused)[: stage.n_sources]

    def at(self, focused: bool) -> Tensor:
        """Those at the read positions alone, or those of earlier layers at all positions."""
        return self.at_reads if focused else self.everywhere


def written(
    model: Transformer, values: SourceValues, layers: Sequence[int]
) -> Float[Tensor, "src batch pos d_model"]:
    """What the input and the sources of some layers write into the residual stream."""
    shape = model.shape
    n_rows = 1 + len(layers) * (shape.n_heads + 1)
    into = values.input.new_empty(n_rows, *values.input.shape[1:])
    into[:1] = values.input
    for layer, rows in zip(layers, into[1:].split(shape.n_heads + 1), strict=True):
        W_O, z = model.weights.layers[layer].attention.W_O, values.heads[layer].flatten(1, 3)
        rows[:-1] = torch.bmm(z.to(W_O.dtype), W_O).view_as(rows[:-1])
        rows[-1] = values.mlps[layer][0]
    return into

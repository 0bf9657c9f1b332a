"""Which kept edges dangle: they cannot reach the logits, or leave a node that nothing feeds.

Both sweeps work on any number of masks at once, each for itself (a sweep over a batch of masks
must not let one mask's edges keep another's alive).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.graph.graph import ComputationalGraph


def drop_dead_ends(
    graph: ComputationalGraph, keep: Float[Tensor, "*masks src dst"]
) -> Float[Tensor, "*masks src dst"]:
    """Masks without the edges into nodes that cannot reach the logits, each mask for itself."""
    return keep * _through_nodes(graph, _reaches_logits(graph, keep > 0))


def drop_unfed(
    graph: ComputationalGraph, keep: Float[Tensor, "*masks src dst"]
) -> Float[Tensor, "*masks src dst"]:
    """Masks without the out-edges of heads and MLPs with no kept input, each for itself."""
    return keep * _fed(graph, keep > 0)[..., None]


def _through_nodes(graph: ComputationalGraph, node: Bool[Tensor, "*masks src"]) -> Tensor:
    """Per destination [*masks, 1, dst], whether the node that it feeds is in `node`."""
    writers = torch.tensor([0 if w is None else w for w in graph.writer_of], device=node.device)
    through = node[..., writers]
    through[..., -1] = True
    return through[..., None, :]


def _reaches_logits(graph: ComputationalGraph, kept: Bool[Tensor, "*masks src dst"]) -> Tensor:
    """Per source, whether a path of kept edges leads from it to the logits."""
    alive = kept[..., -1].clone()
    for layer in reversed(range(graph.n_layers)):
        mlp, heads = graph.mlp_source(layer), graph.head_source(layer)
        alive |= kept[..., graph.mlp_stage(layer).start] & alive[..., mlp, None]
        per_reader = kept[..., graph.qkv_stage(layer).destinations].unflatten(-1, (3, -1))
        alive |= (per_reader.any(-2) & alive[..., None, heads:mlp]).any(-1)
    return alive


def _fed(graph: ComputationalGraph, kept: Bool[Tensor, "*masks src dst"]) -> Tensor:
    """Per source, whether a path of kept edges leads to it from the input."""
    fed = torch.zeros(kept.shape[:-1], dtype=torch.bool, device=kept.device)
    fed[..., 0] = True
    for layer in range(graph.n_layers):
        mlp, heads = graph.mlp_source(layer), graph.head_source(layer)
        into_heads = (kept[..., graph.qkv_stage(layer).destinations] & fed[..., None]).any(-2)
        fed[..., heads:mlp] = into_heads.unflatten(-1, (3, -1)).any(-2)
        fed[..., mlp] = (kept[..., graph.mlp_stage(layer).start] & fed).any(-1)
    return fed

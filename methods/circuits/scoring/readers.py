"""Circuits of reader components: queries, keys and values of heads, and MLPs.

As in the runs of subnetwork probing and HISP by Conmy et al. (2023, arXiv 2304.14997): a circuit
has all edges between surviving components, and a head is gone as a source only if its query, key
and value are all gone. Input and logits always survive.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from methods.circuits.scoring.selection import largest_within


def edges_between(
    graph: ComputationalGraph, readers: Float[Tensor, "*masks dst"]
) -> Float[Tensor, "*masks src dst"]:
    """The mask of every edge from masks of readers, differentiable: m_uv = z_v s_u.

    s_u of an MLP is its reader's z, of a head 1 - (1 - z_q)(1 - z_k)(1 - z_v), of the input 1; z of
    the logits counts as 1. At masks of 0 and 1 under counterfactual ablation this is what Conmy et
    al. do, who replace q, k, v and MLP outputs by those of the corrupted prompt; under other
    ablations a node that is gone carries its ablation value, where theirs would compute something
    from ablated inputs.
    """
    sources = [torch.ones_like(readers[..., :1])]
    for layer in range(graph.n_layers):
        stage = graph.qkv_stage(layer)
        q_k_v = readers[..., stage.destinations].unflatten(-1, (3, -1))
        sources += [1 - (1 - q_k_v).prod(-2), readers[..., graph.mlp_stage(layer).start, None]]
    into = torch.cat([readers[..., :-1], torch.ones_like(readers[..., -1:])], -1)
    exists = graph.exists.to(readers.device)
    return torch.cat(sources, -1)[..., None] * into[..., None, :] * exists


def circuits_of_readers(
    graph: ComputationalGraph, scores: Float[Tensor, " dst"], sizes: Sequence[int]
) -> list[FoundCircuit]:
    """For each size, as many of the best readers as have no more edges than that among them."""
    order = scores[:-1].argsort(descending=True, stable=True)

    def circuit(count: int, size: int) -> FoundCircuit:
        return FoundCircuit(_circuit(graph, order[:count]), f"size={size}", size)

    # Without any reader the input still writes to the logits; a smaller circuit has no edge at all.
    least = FoundCircuit(EdgeMask.empty(graph), "size=0", 0)
    return [largest_within(size, len(order), circuit) if size else least for size in sizes]


def scores_between(graph: ComputationalGraph, scores: Float[Tensor, " dst"]) -> EdgeScores:
    """The score of every edge: the lower of its ends', as both are in the circuits that it is in.

    A head as a source has the best score of its query, key and value; input and logits, which are
    in every circuit, have the best of all.
    """
    best = scores[:-1].max()
    into = torch.cat([scores[:-1], best[None]])
    sources = [best[None]]
    for layer in range(graph.n_layers):
        stage = graph.qkv_stage(layer)
        q_k_v = scores[stage.destinations].unflatten(-1, (3, -1))
        sources += [q_k_v.amax(0), scores[graph.mlp_stage(layer).start, None]]
    value = torch.minimum(torch.cat(sources)[:, None], into) * graph.exists
    return EdgeScores(graph, value, signed=True)


def _circuit(graph: ComputationalGraph, readers: Tensor) -> EdgeMask:
    z = torch.zeros(graph.n_destinations)
    z[readers] = 1.0
    return EdgeMask(graph, edges_between(graph, z)).pruned(Pruning.dead_ends)

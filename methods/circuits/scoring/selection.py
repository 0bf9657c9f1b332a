"""From scores to circuits."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import FoundCircuits


class Selection(Enum):
    """How scores become circuits.

    `top`: the best edges, wherever they are. `greedy`: grown backwards from the logits, so that
    every edge reaches them (Hanna et al. 2024, arXiv 2403.17806).
    """

    top = "top"
    greedy = "greedy"


class Granularity(Enum):
    """What is scored and kept or ablated as one.

    `edge`: an edge. `component`: all edges out of a source. `neuron`: a coordinate of what a source
    writes into the residual stream, on all edges out of it (the circuit track of MIB, Mueller et
    al. 2025, arXiv 2504.13151).
    """

    edge = "edge"
    component = "component"
    neuron = "neuron"


def circuits_of_sizes(
    scores: EdgeScores, sizes: Sequence[int], selection: Selection, absolute: bool
) -> FoundCircuits:
    """The circuit of each size, by the scores or by their absolute values."""
    choose = EdgeScores.top if selection is Selection.top else EdgeScores.greedy
    return FoundCircuits.of_scores(scores.absolute() if absolute else scores, sizes, choose)


def component_circuits(
    graph: ComputationalGraph,
    scores: Float[Tensor, " src"],
    sizes: Sequence[int],
    absolute: bool,
) -> list[FoundCircuit]:
    """For each size, as many of the best components as have no more edges than that among them.

    Edges into a component that is not kept are no part of its circuit: they change nothing.
    """
    order = _best_first(scores, absolute)

    def circuit(count: int, size: int) -> FoundCircuit:
        mask = _of_components(graph, order[:count])
        return FoundCircuit(mask, f"size={size}, components={count}", size)

    return [largest_within(size, len(order), circuit) for size in sizes]


def neuron_circuits(
    graph: ComputationalGraph,
    scores: Float[Tensor, "src d_model"],
    sizes: Sequence[int],
    absolute: bool,
) -> list[FoundCircuit]:
    """For each size, as many of the best neurons as have a weighted edge count within it.

    Edges are those out of sources with a kept neuron, less those into components without; see
    `FoundCircuit.size` for their weights.
    """
    order = _best_first(scores.flatten(), absolute)

    def circuit(count: int, size: int) -> FoundCircuit:
        neurons = torch.zeros(scores.numel())
        neurons[order[:count].cpu()] = 1.0
        neurons = neurons.view(scores.shape)
        mask = _of_components(graph, neurons.any(1).nonzero()[:, 0])
        return FoundCircuit(mask, f"size={size}, neurons={count}", size, neurons)

    return [largest_within(size, len(order), circuit) for size in sizes]


def largest_within(
    size: int, n_members: int, circuit: Callable[[int, int], FoundCircuit]
) -> FoundCircuit:
    """The circuit of the most members that has at most `size` edges.

    Args:
        size: edges.
        n_members: members that there are.
        circuit: makes the circuit of the best `count` members for a size; more members never have
            fewer edges.
    """
    counts = range(n_members + 1)
    above = bisect_right(counts, size, key=lambda count: circuit(count, size).size)
    return circuit(above - 1, size)


def _best_first(scores: Float[Tensor, " n"], absolute: bool) -> Int[Tensor, " n"]:
    return (scores.abs() if absolute else scores).argsort(descending=True, stable=True)


def _of_components(graph: ComputationalGraph, sources: Tensor) -> EdgeMask:
    keep = torch.zeros(graph.n_sources)
    keep[sources.cpu()] = 1.0
    return EdgeMask.of_components(graph, keep).pruned(Pruning.dead_ends)

"""What attribution methods share: mean effects to scores, and scores to circuits.

A method says what a batch's effects are. Effects are summed over prompts and divided by their
number, so the batch size does not matter. A score is positive if keeping the live value raises the
metric (or lowers a loss).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.ablation import Counterfactual, Resample
from benchmark.batch import Batch, Objective
from benchmark.edge_effects import Effects
from benchmark.errors import UserError
from benchmark.graph import ComputationalGraph
from benchmark.mask import EdgeMask, EdgeScores, Pruning
from benchmark.method import FoundCircuit, Problem
from methods.gradients import without_gradient
from methods.ranges import check_counts


class Selection(Enum):
    """How scores become circuits.

    `top`: the best edges, wherever they are. `greedy`: grown backwards from the logits, so that
    every edge reaches them (Hanna et al. 2024, arXiv 2403.17806).
    """

    top = "top"
    greedy = "greedy"


class Granularity(Enum):
    """What is scored and kept or ablated as one.

    `edge`: an edge. `node`: all edges out of a source. `neuron`: a coordinate of what a source
    writes into the residual stream, on all edges out of it (the circuit track of MIB, Mueller et
    al. 2025, arXiv 2504.13151).
    """

    edge = "edge"
    node = "node"
    neuron = "neuron"


@dataclass(frozen=True)
class Attribution:
    """Settings that all attribution methods have, and all that they do alike."""

    absolute: bool
    selection: Selection
    granularity: Granularity
    batch_size: int
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_counts(self, "batch_size")
        if self.selection is Selection.greedy and self.granularity is not Granularity.edge:
            raise UserError("method.selection=greedy grows circuits by edges; give selection=top")

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """The effects of one batch, summed over its prompts."""
        raise NotImplementedError

    def unsupported(self, problem: Problem) -> str | None:
        """A share of right answers has no gradient; donors come from the same batch."""
        return without_gradient(problem) or without_donors(problem, self.batch_size)

    def discover(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """The best edges, nodes or neurons by their scores."""
        effects = self.mean_effects(problem)
        if self.granularity is Granularity.node:
            return node_circuits(problem.graph, effects.neurons.sum(1), sizes, self.absolute)
        if self.granularity is Granularity.neuron:
            return neuron_circuits(problem.graph, effects.neurons, sizes, self.absolute)
        scores = EdgeScores(problem.graph, effects.edges, signed=True)
        return circuits_of_sizes(scores, sizes, self.selection, self.absolute)

    def scores(self, problem: Problem) -> EdgeScores:
        """The estimated loss of the metric, in its unit, if an edge were ablated."""
        return EdgeScores(problem.graph, self.mean_effects(problem).edges, signed=True)

    def mean_effects(self, problem: Problem) -> Effects:
        """The effects on the metric (on minus a loss), as means over prompts, on the CPU."""
        objective, batches = signed_objective(problem), problem.in_batches(self.batch_size)
        total = self.effects(problem, batches[0], objective).map(exactly)
        for batch in batches[1:]:
            total = total + self.effects(problem, batch, objective).map(exactly)
        dtype = problem.model.stream_dtype
        return total.scaled(1 / sum(map(len, batches))).map(lambda x: x.to(dtype))


def signed_objective(problem: Problem) -> Objective:
    """The metric, or minus a loss, so that higher is better."""
    metric = problem.metric
    sign = 1 if metric.higher_is_better else -1

    def objective(logits: Tensor, batch: Batch, clean_logits: Tensor) -> Tensor:
        return sign * metric(logits, batch, clean_logits)

    return objective


def exactly(x: Tensor) -> Tensor:
    """A part of a sum over batches: in float64, on the CPU."""
    return x.double().cpu()


def without_donors(problem: Problem, batch_size: int) -> str | None:
    """Why resample ablation needs more prompts in a batch, unless it is another, or has them."""
    if isinstance(problem.ablation, Resample) and batch_size < 2:
        return "resample ablation takes donors from the same batch; give batch_size=2 or more"
    return None


def needs_counterfactual(problem: Problem) -> str | None:
    """Why a path between two prompts needs counterfactual ablation, unless it is that."""
    if isinstance(problem.ablation, Counterfactual):
        return None
    return "the path runs from the corrupted to the clean prompt; give ablation=counterfactual"


def circuits_of_sizes(
    scores: EdgeScores, sizes: Sequence[int], selection: Selection, absolute: bool
) -> list[FoundCircuit]:
    """The circuit of each size, by the scores or by their absolute values."""
    ranked = scores.absolute() if absolute else scores
    choose = ranked.top if selection is Selection.top else ranked.greedy
    return [FoundCircuit(choose(size), f"edges={size}", size) for size in sizes]


def node_circuits(
    graph: ComputationalGraph,
    scores: Float[Tensor, " src"],
    sizes: Sequence[int],
    absolute: bool,
) -> list[FoundCircuit]:
    """For each size, as many of the best nodes as have no more edges than that among them.

    Edges into a node that is not kept are no part of its circuit; dropping them changes nothing.
    """
    order = _best_first(scores, absolute)

    def circuit(count: int, size: int) -> FoundCircuit:
        mask = _of_nodes(graph, order[:count])
        return FoundCircuit(mask, f"edges={size}, nodes={count}", size)

    return [largest_within(size, len(order), circuit) for size in sizes]


def neuron_circuits(
    graph: ComputationalGraph,
    scores: Float[Tensor, "src d_model"],
    sizes: Sequence[int],
    absolute: bool,
) -> list[FoundCircuit]:
    """For each size, as many of the best neurons as have a weighted edge count within it.

    Edges are those out of sources with a kept neuron, less those into nodes without; see
    `FoundCircuit.n_edges` for their weights.
    """
    order = _best_first(scores.flatten(), absolute)

    def circuit(count: int, size: int) -> FoundCircuit:
        neurons = torch.zeros(scores.numel())
        neurons[order[:count].cpu()] = 1.0
        neurons = neurons.view(scores.shape)
        mask = _of_nodes(graph, neurons.any(1).nonzero()[:, 0])
        return FoundCircuit(mask, f"edges={size}, neurons={count}", size, neurons)

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
    above = bisect_right(counts, size, key=lambda count: circuit(count, size).n_edges)
    return circuit(above - 1, size)


def _best_first(scores: Float[Tensor, " n"], absolute: bool) -> Int[Tensor, " n"]:
    return (scores.abs() if absolute else scores).argsort(descending=True, stable=True)


def _of_nodes(graph: ComputationalGraph, nodes: Tensor) -> EdgeMask:
    keep = torch.zeros(graph.n_sources)
    keep[nodes.cpu()] = 1.0
    return EdgeMask.of_nodes(graph, keep).pruned(Pruning.dead_ends)

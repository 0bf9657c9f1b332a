"""What attribution methods share: mean effects to scores, and scores to circuits.

A method says what a batch's effects are. Effects are summed over prompts and divided by their
number, so the batch size does not matter. A score is positive if keeping the live value raises the
metric (or lowers a loss).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from benchmark.effects.edges.first_order import Effects
from benchmark.errors import UserError
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from methods.circuits.scoring.selection import (
    Granularity,
    Selection,
    circuits_of_sizes,
    component_circuits,
    neuron_circuits,
)
from methods.ranges import check_counts
from methods.requirements import without_donors, without_gradient


@dataclass(frozen=True)
class Attribution:
    """Settings that all attribution methods have, and all that they do alike."""

    absolute: bool
    selection: Selection
    granularity: Granularity
    batch_size: int
    uses: ClassVar[frozenset[str]] = frozenset({"sizes", "attribution_metric"})
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

    def discover(self, problem: Problem, sizes: Sequence[int]) -> Sequence[FoundCircuit]:
        """The best edges, nodes or neurons by their scores."""
        effects = self.mean_effects(problem)
        if self.granularity is Granularity.component:
            return component_circuits(problem.graph, effects.neurons.sum(1), sizes, self.absolute)
        if self.granularity is Granularity.neuron:
            return neuron_circuits(problem.graph, effects.neurons, sizes, self.absolute)
        scores = EdgeScores(problem.graph, effects.edges, signed=True)
        return circuits_of_sizes(scores, sizes, self.selection, self.absolute)

    def scores(self, problem: Problem) -> EdgeScores:
        """The estimated loss of the metric, in its unit, if an edge were ablated."""
        return EdgeScores(problem.graph, self.mean_effects(problem).edges, signed=True)

    def mean_effects(self, problem: Problem) -> Effects:
        """The effects on the metric (on minus a loss), as means over prompts, on the CPU."""
        objective = signed_objective(problem)
        batches = problem.in_attribution_batches(self.batch_size)
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

"""Automatic circuit discovery, ACDC (Conmy et al. 2023, arXiv 2304.14997).

From the logits backwards, each edge is removed for good if the metric then grows by less than a
threshold; removed edges carry ablation values, kept ones live values of the circuit so far. A node
that nothing reads any more is removed untested, with all edges into it. In the authors' graph a
head's query, key and value are joined to their inputs by one more edge each, tested before the
edges into them; removing it removes all of those at once (`projections`).

A grid of thresholds is searched together: thresholds share every test until its outcome parts
them. See acdc_search.py for how the same decisions are reached in fewer passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from benchmark.metric import KLDivergence
from methods.circuits.search.order import phases
from methods.circuits.search.search import Loss, Search
from methods.ranges import check_counts
from methods.requirements import without_donors


class Objective(Enum):
    """What may not grow.

    `kl`: the loss gap. `metric`: what attribution methods attribute, or minus it if higher is
    better.
    """

    kl = "kl"
    metric = "metric"


# From this width on, a pass of several tests takes less time than as many passes.
WIDE = 512


@dataclass(frozen=True)
class ACDC:
    """Settings of ACDC; see conf/method/acdc.yaml."""

    thresholds: list[float]
    objective: Objective
    absolute: bool
    projections: bool
    last_head_first: bool
    batch_size: int
    candidates_at_once: int | None
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.thresholds or len(set(self.thresholds)) < len(self.thresholds):
            raise UserError("method.thresholds needs one or more numbers, none of them twice")
        check_counts(self, "batch_size")
        if self.candidates_at_once is not None:
            check_counts(self, "candidates_at_once")

    @property
    def uses(self) -> frozenset[str]:
        """The metric, unless it is the loss gap that may not grow."""
        return frozenset({"attribution_metric"} if self.objective is Objective.metric else ())

    def unsupported(self, problem: Problem) -> str | None:
        """Donors come from the same batch."""
        return without_donors(problem, self.batch_size)

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """One circuit per threshold, whatever the sizes asked for, and the ranking of edges.

        An edge ranks by the largest threshold at which it survives, then by at how many it does.
        """
        kept = self.search(problem).run(problem.checkpoint("acdc"))
        circuits = {
            threshold: EdgeMask(problem.graph, keep).pruned(Pruning.dead_ends)
            for threshold, keep in kept.items()
        }
        found = [FoundCircuit(circuits[tau], f"tau={tau:g}") for tau in sorted(circuits)]
        return FoundCircuits.ranked(found)

    def search(self, problem: Problem) -> Search:
        """The search, before its first test."""
        metric = KLDivergence() if self.objective is Objective.kl else problem.metric
        loss = Loss(problem, metric, self.batch_size)
        order = phases(problem.graph, self.projections, self.last_head_first)
        return Search(
            problem.graph,
            loss,
            order,
            self.thresholds,
            identity=[repr(self), repr(metric), *loss.identity],
            absolute=self.absolute,
            most_ahead=self.candidates_at_once or (8 if problem.model.shape.d_model >= WIDE else 1),
            masks_at_once=loss.masks_at_once,
        )

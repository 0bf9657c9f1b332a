"""Edge AtP: edge attribution patching with magnitudes, and attention weights computed anew.

EAP adds up an edge's effects over prompts and positions, where they may cancel, and trusts the
slope of a softmax. Edge AtP takes the mean of magnitudes, and for edges into queries and keys
computes the attention weights that the ablated input would give (Kramar et al. 2024, arXiv
2403.00745).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmark.effects.edges.first_order import CleanRun, effects_at_clean
from benchmark.effects.edges.magnitudes import (
    PositionMagnitudes,
    PromptMagnitudes,
    query_key_magnitudes,
)
from benchmark.effects.nodes.nodes import NodePositions
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.problem import Problem
from methods.circuits.scoring.attribution import exactly, signed_objective
from methods.circuits.scoring.selection import Selection, circuits_of_sizes
from methods.ranges import check_counts
from methods.requirements import flat_at_clean, without_donors, without_gradient


@dataclass(frozen=True)
class EdgeAtP:
    """Settings of edge AtP; see conf/method/edge_atp.yaml."""

    positions: NodePositions
    fix_softmax: bool
    selection: Selection
    batch_size: int
    uses: ClassVar[frozenset[str]] = frozenset({"sizes", "attribution_metric"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the range."""
        check_counts(self, "batch_size")

    def unsupported(self, problem: Problem) -> str | None:
        """What gradients at the clean prompts cannot attribute; donors come from the batch."""
        return (
            flat_at_clean(problem)
            or without_gradient(problem)
            or without_donors(problem, self.batch_size)
        )

    def discover(self, problem: Problem, sizes: Sequence[int]) -> Sequence[FoundCircuit]:
        """The edges of the largest contributions."""
        return circuits_of_sizes(self.scores(problem), sizes, self.selection, absolute=False)

    def scores(self, problem: Problem) -> EdgeScores:
        """The mean magnitude of each edge's effect on the metric, in its unit."""
        model, objective = problem.model, signed_objective(problem)
        together = self.positions is NodePositions.all
        sums = PromptMagnitudes if together else PositionMagnitudes
        total, batches = 0.0 * problem.graph.exists, problem.in_attribution_batches(self.batch_size)
        for batch in batches:
            replacement = problem.replacement(batch)
            edges = effects_at_clean(model, batch, replacement, objective, sums).edges
            if self.fix_softmax:
                clean = CleanRun.of(model, batch, replacement)
                for readers, found in query_key_magnitudes(
                    model, clean, objective, positions_together=together
                ):
                    edges[: readers.n_sources, readers.destinations] = found
            total = total + exactly(edges)
        mean = total / sum(map(len, batches))
        return EdgeScores(problem.graph, mean.to(model.stream_dtype), signed=False)

"""EAP with integrated gradients along activations (Hanna et al. 2024, arXiv 2403.17806).

One sublayer's output at a time goes from its ablated to its clean value, by k / steps of the way
for k = 1 .. steps, and gets no gradient itself. In the authors' form each of these paths credits
all edges; in the form of sparse feature circuits (Marks et al. 2024, arXiv 2403.19647) only the
edges out of the sublayer that moves.
"""

from dataclasses import dataclass

from benchmark.effects.edges.first_order import CleanRun, Effects, effects_at_activations
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from methods.circuits.scoring.attribution import Attribution
from methods.ranges import check_counts


@dataclass(frozen=True)
class EAPIGActivations(Attribution):
    """Settings of EAP-IG (activations); see conf/method/eap_ig_activations.yaml."""

    steps: int
    own_edges: bool

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "steps")

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """Mean first-order effects over the points of all paths."""
        clean = CleanRun.of(problem.model, batch, problem.replacement(batch))
        shares = [k / self.steps for k in range(1, self.steps + 1)]
        return effects_at_activations(problem.model, clean, shares, objective, own=self.own_edges)

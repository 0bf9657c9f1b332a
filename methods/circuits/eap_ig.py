"""EAP with integrated gradients along the embeddings (Hanna et al. 2024, arXiv 2403.17806).

The gradient is averaged over points on the straight line from the corrupted to the clean
embeddings, so that a metric which is flat at the clean prompt is still attributed. The points are
k / steps of the way for k = 0 .. steps - 1: the authors' code takes the corrupted end and leaves
out the clean one.
"""

from dataclasses import dataclass

from benchmark.effects.edges.first_order import Effects
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from methods.circuits.scoring.along_path import effects_along_path
from methods.circuits.scoring.attribution import Attribution
from methods.ranges import check_counts
from methods.requirements import needs_counterfactual


@dataclass(frozen=True)
class EAPIG(Attribution):
    """Settings of EAP-IG (inputs); see conf/method/eap_ig.yaml."""

    steps: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "steps")

    def unsupported(self, problem: Problem) -> str | None:
        """The path runs between two prompts."""
        return needs_counterfactual(problem) or super().unsupported(problem)

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """Mean first-order effects over the points of the path."""
        replacement = problem.replacement(batch)
        return effects_along_path(problem.model, batch, replacement, objective, self.steps)

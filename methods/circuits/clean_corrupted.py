"""EAP with the mean of the gradients at the clean and at the corrupted prompt.

The two ends of the path of EAP-IG, as in the library of Hanna et al. (2024, arXiv 2403.17806).
"""

from dataclasses import dataclass

from benchmark.effects.edges.first_order import CleanRun, Effects, effects_at_inputs
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from methods.circuits.scoring.attribution import Attribution
from methods.requirements import needs_counterfactual


@dataclass(frozen=True)
class CleanCorrupted(Attribution):
    """Settings of clean-corrupted attribution; see conf/method/clean_corrupted.yaml."""

    def unsupported(self, problem: Problem) -> str | None:
        """The second gradient is that of a prompt."""
        return needs_counterfactual(problem) or super().unsupported(problem)

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """Mean first-order effects at both ends."""
        clean = CleanRun.of(problem.model, batch, problem.replacement(batch))
        return effects_at_inputs(problem.model, clean, clean.inputs_at([0.0, 1.0]), objective)

"""Edge attribution patching (Syed, Rager & Conmy 2023, arXiv 2310.10348).

The effect of ablating an edge, to first order: the change of its source's value times the gradient
of the metric at its destination's input, summed over positions. One forward and backward pass
gives all edges. It is also the gradient of the metric in the edge's mask, at the full mask.
"""

from dataclasses import dataclass

from benchmark.effects.edges.first_order import Effects, effects_at_clean
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from methods.circuits.scoring.attribution import Attribution
from methods.requirements import flat_at_clean


@dataclass(frozen=True)
class EAP(Attribution):
    """Settings of edge attribution patching; see conf/method/eap.yaml."""

    def unsupported(self, problem: Problem) -> str | None:
        """The loss gap is smallest at the full model, so its gradient there is zero."""
        return flat_at_clean(problem) or super().unsupported(problem)

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """First-order effects at the clean prompts."""
        return effects_at_clean(problem.model, batch, problem.replacement(batch), objective)

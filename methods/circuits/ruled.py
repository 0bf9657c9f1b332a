"""EAP and EAP-IG with other backward rules than the derivative (see backward_rules.py)."""

from dataclasses import dataclass
from typing import ClassVar

from benchmark.effects.edges.first_order import Effects, effects_at_clean
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer.backward_rules import BackwardRules
from benchmark.transformer.transformer import Transformer
from methods.circuits.eap_ig import EAPIG, effects_along_path
from methods.circuits.scoring.attribution import Attribution
from methods.requirements import flat_at_clean


@dataclass(frozen=True)
class RuledAttribution(EAPIG):
    """Attribution with modified gradients: at the clean prompts, or along the path of EAP-IG."""

    cost: ClassVar[str] = "as eap (one step) or eap_ig (more)"

    @property
    def rules(self) -> BackwardRules:
        """What replaces the derivative."""
        raise NotImplementedError

    def unsupported(self, problem: Problem) -> str | None:
        """One step is a gradient at the clean prompts; more lie between two prompts."""
        if self.steps > 1:
            return super().unsupported(problem)
        return flat_at_clean(problem) or Attribution.unsupported(self, problem)

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """First-order effects by the rules."""
        model, replacement = problem.model, problem.replacement(batch)
        ruled = Transformer(self.rules.of(model.weights), model.shape, model.dtype, model.device)
        if self.steps > 1:
            return effects_along_path(ruled, batch, replacement, objective, self.steps)
        return effects_at_clean(ruled, batch, replacement, objective)

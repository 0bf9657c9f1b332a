"""EAP and EAP-IG with other backward rules than the derivative (see backward_rules.py)."""

from benchmark.effects.edges.first_order import Effects, effects_at_clean
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer.backward_rules import BackwardRules
from benchmark.transformer.transformer import Transformer
from methods.circuits.scoring.along_path import effects_along_path
from methods.requirements import flat_at_clean, needs_counterfactual


def ruled_effects(
    problem: Problem, batch: Batch, objective: Objective, rules: BackwardRules, steps: int
) -> Effects:
    """First-order effects by the rules: at the clean prompts (one step), or along a path (more)."""
    model, replacement = problem.model, problem.replacement(batch)
    ruled = Transformer(rules.of(model.weights), model.shape, model.dtype, model.device)
    if steps > 1:
        return effects_along_path(ruled, batch, replacement, objective, steps)
    return effects_at_clean(ruled, batch, replacement, objective)


def flat_or_without_path(problem: Problem, steps: int) -> str | None:
    """Why one step, a gradient at the clean prompts, or more, between two prompts, cannot do."""
    return needs_counterfactual(problem) if steps > 1 else flat_at_clean(problem)

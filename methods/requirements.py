"""What methods ask of a metric and of an ablation, and the line that says what to give instead."""

from benchmark.method.problem import Problem


def without_gradient(problem: Problem) -> str | None:
    """Why a metric cannot be attributed by gradients, unless it can."""
    if problem.metric.differentiable:
        return None
    return "a share of right answers has no gradient; give another metric"


def flat_at_clean(problem: Problem) -> str | None:
    """Why a single gradient at the clean prompts cannot attribute this metric."""
    if problem.metric.flat_at_clean:
        return "the gradient of the loss gap at the full model is zero; give another metric"
    return None


def without_donors(problem: Problem, batch_size: int) -> str | None:
    """Why resample ablation needs more prompts in a batch, unless it is another, or has them."""
    if problem.ablation.traits.needs_donors and batch_size < 2:
        return "resample ablation takes donors from the same batch; give batch_size=2 or more"
    return None


def needs_counterfactual(
    problem: Problem, why: str = "the path runs from the corrupted to the clean prompt"
) -> str | None:
    """Why a method needs counterfactual ablation, unless it is that."""
    if problem.ablation.traits.from_corrupted:
        return None
    return f"{why}; give ablation=counterfactual"

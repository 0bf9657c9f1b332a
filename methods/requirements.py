"""Which metrics a gradient at the clean prompts can attribute."""

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


def needs_counterfactual(problem: Problem) -> str | None:
    """Why a path between two prompts needs counterfactual ablation, unless it is that."""
    if problem.ablation.traits.from_corrupted:
        return None
    return "the path runs from the corrupted to the clean prompt; give ablation=counterfactual"

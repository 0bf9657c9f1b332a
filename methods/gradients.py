"""Which metrics a gradient at the clean prompts can attribute."""

from benchmark.method import Problem
from benchmark.metric import Accuracy, ExactMatch, KLDivergence


def without_gradient(problem: Problem) -> str | None:
    """Why a metric cannot be attributed by gradients, unless it can."""
    if isinstance(problem.metric, Accuracy | ExactMatch):
        return "a share of right answers has no gradient; give another metric"
    return None


def flat_at_clean(problem: Problem) -> str | None:
    """Why a single gradient at the clean prompts cannot attribute this metric."""
    if isinstance(problem.metric, KLDivergence):
        return "the gradient of the loss gap at the full model is zero; give another metric"
    return None

"""Edge attribution patching (Syed, Rager & Conmy 2023, arXiv 2310.10348).

The effect of ablating an edge, to first order: the change of its source's value times the gradient
of the metric at its destination's input, summed over positions. In the masked forward pass that
is the gradient of the metric in the edge's mask, at the full mask; one masked forward and backward
pass gives all edges. Scores are sums over prompts divided by their number, so the batch size
does not matter. A score is positive if keeping the edge raises the metric (or lowers a loss).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.ablation import Resample
from benchmark.batch import Batch
from benchmark.forward import masked_logits
from benchmark.mask import EdgeScores
from benchmark.method import FoundCircuit, Problem
from benchmark.metric import Accuracy, ExactMatch, KLDivergence
from methods.circuits.attribution import Selection, circuits_of_sizes


@dataclass(frozen=True)
class EAP:
    """Settings of edge attribution patching; see conf/method/eap.yaml."""

    absolute: bool
    selection: Selection
    batch_size: int
    version: ClassVar[int] = 1

    def unsupported(self, problem: Problem) -> str | None:
        """The loss gap is smallest at the full model, so its gradient there is zero."""
        if isinstance(problem.metric, KLDivergence):
            return "the gradient of the loss gap at the full model is zero; give another metric"
        if isinstance(problem.metric, Accuracy | ExactMatch):
            return "a share of right answers has no gradient; give another metric"
        if isinstance(problem.ablation, Resample) and self.batch_size < 2:
            return "resample ablation takes donors from the same batch; give batch_size=2 or more"
        return None

    def discover(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """The best edges by their scores."""
        return circuits_of_sizes(self.scores(problem), sizes, self.selection, self.absolute)

    def scores(self, problem: Problem) -> EdgeScores:
        """The estimated loss of the metric, in its unit, if an edge were ablated."""
        total = torch.zeros(problem.graph.exists.shape, dtype=torch.float64)
        batches = problem.in_batches(self.batch_size)
        for batch in batches:
            total += _summed_gradient(problem, batch).double().cpu()
        mean = total / sum(map(len, batches))
        return EdgeScores(problem.graph, mean.to(problem.model.stream_dtype), signed=True)


def _summed_gradient(problem: Problem, batch: Batch) -> Float[Tensor, "src dst"]:
    """How much the batch's summed metric grows with each edge's mask, at the full mask."""
    model, metric = problem.model, problem.metric
    mask = problem.graph.exists.to(model.device, model.stream_dtype).requires_grad_()
    logits = masked_logits(model, mask, batch, problem.replacement(batch))
    # A metric may look at the full model's answers; at the full mask those are its own.
    value = metric(logits, batch.to(model.device), logits.detach()).sum()
    (gradient,) = torch.autograd.grad(value, mask)
    return gradient if metric.higher_is_better else -gradient

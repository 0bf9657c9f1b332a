"""Head importance scores for pruning (Michel, Levy & Neubig 2019, arXiv 1905.10650), on circuits.

As Conmy et al. (2023, arXiv 2304.14997, section 4) run it against ACDC: a component is the query,
key or value of a head or the output of an MLP, and its score is the mean over prompts of
|sum (clean - ablated activation) * gradient of the metric|, over its positions and coordinates,
divided by the L2 norm of its layer's scores. Components are kept from the best down; the circuit
has all edges between what is kept. Under zero ablation the ablated activation is zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.forward.readers import reader_activations
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch
from methods.circuits.scoring.readers import circuits_of_readers, scores_between
from methods.ranges import check_counts
from methods.requirements import flat_at_clean, without_gradient


@dataclass(frozen=True)
class HISP:
    """Settings of head importance scores; see conf/method/hisp.yaml."""

    batch_size: int
    uses: ClassVar[frozenset[str]] = frozenset({"sizes", "attribution_metric"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the range."""
        check_counts(self, "batch_size")

    def unsupported(self, problem: Problem) -> str | None:
        """Components are compared with those of another prompt, or with zero."""
        traits = problem.ablation.traits
        if not (traits.from_corrupted or traits.zero):
            return "components are compared with those of the corrupted prompt, or with zero"
        return without_gradient(problem) or flat_at_clean(problem)

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """For each size, the best components with no more edges than that among them."""
        scores = self.scores(problem)
        circuits = circuits_of_readers(problem.graph, scores, sizes)
        return FoundCircuits(circuits, {"": scores_between(problem.graph, scores)})

    def scores(self, problem: Problem) -> Float[Tensor, " dst"]:
        """The score of each component, at its reader; infinite at the logits."""
        total = torch.zeros(problem.graph.n_destinations)
        for batch in problem.in_batches(self.batch_size):
            total[:-1] += _summed_scores(problem, batch.to(problem.model.device)).float().cpu()
        for layer in range(problem.graph.n_layers):
            first, mlp = problem.graph.qkv_stage(layer).start, problem.graph.mlp_stage(layer).start
            total[first : mlp + 1] /= total[first : mlp + 1].norm().clamp(min=1e-12)
        total[-1] = torch.inf
        return total


def _summed_scores(problem: Problem, batch: Batch) -> Float[Tensor, " components"]:
    """Sums over the prompts, in the order of readers."""
    model, ablation = problem.model, problem.ablation
    logits, activations = reader_activations(model, batch.clean, batch.read_at)
    value = problem.metric(logits, batch, logits.detach()).sum()
    gradients = torch.autograd.grad(value, activations)
    first, scores = int(ablation.keep_first), []
    with torch.no_grad():
        if ablation.traits.zero:
            replacement = [torch.zeros_like(x) for x in activations]
        else:
            _, replacement = reader_activations(model, batch.corrupted, batch.read_at)
        for x, other, gradient in zip(activations, replacement, gradients, strict=True):
            change = (x - other).to(model.stream_dtype) * gradient.to(model.stream_dtype)
            scores.append(change[..., first:, :].sum((-1, -2)).abs().sum((1, 2)))
    return torch.cat(scores)

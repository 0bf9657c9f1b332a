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

from benchmark.forward.layers import embedded, run
from benchmark.forward.streams import PlainStream
from benchmark.graph.graph import Stage
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch
from benchmark.transformer.kernels import one_per_query_head
from benchmark.transformer.transformer import Transformer
from benchmark.transformer.weights import Norm, Projection
from methods.circuits.scoring.readers import circuits_of_readers, scores_between
from methods.ranges import check_counts
from methods.requirements import flat_at_clean, without_gradient


@dataclass(frozen=True)
class HISP:
    """Settings of head importance scores; see conf/method/hisp.yaml."""

    batch_size: int
    uses: ClassVar[frozenset[str]] = frozenset({"sizes", "attribution_metric"})
    version: ClassVar[int] = 1
    cost: ClassVar[str] = "2 forward and 1 backward"

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


class _Components(PlainStream):
    """A residual stream that keeps every query, key, value and MLP output."""

    def __init__(self, model: Transformer, tokens: Tensor) -> None:
        super().__init__(embedded(model, tokens)[None, None].requires_grad_())
        self._n_heads = model.shape.n_heads
        self.found: list[Tensor] = []

    def project(self, stage: Stage, norm: Norm, *projections: Projection) -> tuple[Tensor, ...]:
        """Keys and values of grouped-query attention come out once per query head."""
        outs = super().project(stage, norm, *projections)
        outs = tuple(one_per_query_head(out, self._n_heads) for out in outs)
        self.found += outs
        return outs

    def write_mlp(self, layer: int, out: Tensor) -> None:
        """Add the MLP."""
        self.found.append(out)
        super().write_mlp(layer, out)


def _summed_scores(problem: Problem, batch: Batch) -> Float[Tensor, " components"]:
    """Sums over the prompts, in the order of readers."""
    model = problem.model
    clean = _Components(model, batch.clean)
    logits = run(model, clean, batch.clean, batch.read_at, focus_last_layer=False)[0, 0]
    value = problem.metric(logits, batch, logits.detach()).sum()
    gradients = torch.autograd.grad(value, clean.found)
    first, scores = int(problem.ablation.keep_first), []
    with torch.no_grad():
        ablated = _ablated_components(problem, batch, clean)
        for x, c, gradient in zip(clean.found, ablated, gradients, strict=True):
            change = (x - c).to(model.stream_dtype) * gradient.to(model.stream_dtype)
            scores.append(change[..., first:, :].sum((-1, -2)).abs().sum((1, 2)))
    return torch.cat(scores)


def _ablated_components(problem: Problem, batch: Batch, clean: _Components) -> list[Tensor]:
    if problem.ablation.traits.zero:
        return [torch.zeros_like(x) for x in clean.found]
    corrupted = _Components(problem.model, batch.corrupted)
    tokens, read_at = batch.corrupted, batch.read_at
    run(problem.model, corrupted, tokens, read_at, focus_last_layer=False)
    return corrupted.found

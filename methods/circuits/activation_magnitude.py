"""Activation magnitude: an edge is worth what its source writes, in mean L2 norm.

A baseline that knows neither the task's metric nor the ablation (as in the auto-circuit library,
Miller, Chughtai & Saunders 2024, arXiv 2407.08734). All edges of a source tie; the earlier
destination comes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from benchmark.effects.edges.differences import written
from benchmark.forward.passes import source_values
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.problem import Problem
from methods.circuits.scoring.selection import Selection, circuits_of_sizes
from methods.ranges import check_counts


@dataclass(frozen=True)
class ActivationMagnitude:
    """Settings of activation magnitude; see conf/method/activation_magnitude.yaml."""

    batch_size: int
    uses: ClassVar[frozenset[str]] = frozenset({"sizes"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the range."""
        check_counts(self, "batch_size")

    def unsupported(self, problem: Problem) -> str | None:
        """Any problem will do."""
        return None

    def discover(self, problem: Problem, sizes: Sequence[int]) -> Sequence[FoundCircuit]:
        """The edges of the sources that write most."""
        return circuits_of_sizes(self.scores(problem), sizes, Selection.top, absolute=False)

    @torch.no_grad()
    def scores(self, problem: Problem) -> EdgeScores:
        """The norm of what each source writes, averaged over positions, then over prompts."""
        model, graph = problem.model, problem.graph
        total = torch.zeros(graph.n_sources)
        batches = problem.in_batches(self.batch_size)
        for batch in (b.to(model.device) for b in batches):
            parts = written(model, source_values(model, batch.clean), range(graph.n_layers))
            means = (parts.norm(dim=-1) * batch.real).sum(-1) / batch.lengths
            total += means.sum(-1).float().cpu()
        value = (total / sum(map(len, batches)))[:, None] * graph.exists
        return EdgeScores(graph, value, signed=True)

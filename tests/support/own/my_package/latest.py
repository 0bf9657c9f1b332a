"""A method: the edges that come last in the graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.problem import Problem


@dataclass(frozen=True)
class Latest:
    """Settings; see conf/method/latest.yaml."""

    reverse: bool
    uses: ClassVar[frozenset[str]] = frozenset({"sizes"})
    version: ClassVar[int] = 1

    def unsupported(self, problem: Problem) -> str | None:
        """Anything goes."""
        return None

    def discover(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """Edges in the order of the graph, or against it."""
        exists = problem.graph.exists
        order = torch.arange(exists.numel()).view(exists.shape).float()
        scores = EdgeScores(problem.graph, -order if self.reverse else order, signed=True)
        return [FoundCircuit(scores.top(size), f"size={size}", size) for size in sizes]

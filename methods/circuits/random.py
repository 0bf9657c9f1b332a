"""Random circuits, the floor of every comparison (Li & Janson 2024, arXiv 2409.09951, app. F).

Every edge is kept with the same probability, dangling edges are removed, and a draw counts if the
size that remains fits. Several circuits of each size say how far another method is above chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from benchmark.graph.pruning import drop_dead_ends, drop_unfed
from benchmark.method.circuits import FoundCircuit
from benchmark.method.problem import Problem
from benchmark.seeds import generator

# Draws at a time, and such rounds before a size counts as out of reach.
DRAWS, MOST_ROUNDS = 64, 200


@dataclass(frozen=True)
class Random:
    """Settings of random circuits; see conf/method/random.yaml.

    They leave no scores: every circuit is drawn anew, so no edge is ever better than another.
    """

    circuits_per_size: int
    tolerance: float
    uses: ClassVar[frozenset[str]] = frozenset({"sizes"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.circuits_per_size < 1 or not 0 <= self.tolerance < 1:
            raise UserError(
                "method.circuits_per_size must be 1 or more and method.tolerance in [0, 1), not "
                f"{self.circuits_per_size} and {self.tolerance}"
            )

    def unsupported(self, problem: Problem) -> str | None:
        """Any graph has random circuits."""
        return None

    def discover(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """Random circuits of each size; sizes that no draw reaches are left out."""
        found = []
        for size in sizes:
            draw = generator(problem.seed, "random circuits", size)
            masks = self._circuits(problem.graph, size, draw)
            found += [
                FoundCircuit(mask, f"size={size} draw={number}", size)
                for number, mask in enumerate(masks)
            ]
        return found

    def _circuits(
        self, graph: ComputationalGraph, size: int, draw: torch.Generator
    ) -> list[EdgeMask]:
        """Draws whose size after pruning is at most `size`, and at least that less the tolerance.

        The probability of an edge moves up after rounds that end too small and down after rounds
        that end too large.
        """
        least = max(min(1, size), math.ceil(size * (1 - self.tolerance) - 1e-9))
        probability, found = min(1.0, size / graph.n_edges), []
        for _ in range(MOST_ROUNDS):
            drawn = torch.rand(DRAWS, *graph.exists.shape, generator=draw) < probability
            keep = drop_unfed(graph, drop_dead_ends(graph, (drawn & graph.exists).float()))
            n_edges = keep.sum((1, 2))
            fits = (n_edges <= size) & (n_edges >= least)
            found += [EdgeMask(graph, mask) for mask in keep[fits]]
            if len(found) >= self.circuits_per_size:
                return found[: self.circuits_per_size]
            # The middle of the window is the aim; the size grows faster than the probability.
            aim = float((n_edges.mean() + 1) / ((least + size) / 2 + 1))
            probability = min(1.0, probability * aim**-0.3)
        return found

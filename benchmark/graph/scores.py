"""Scores of edges, as one matrix of sources by destinations, and the circuits chosen by them."""

import heapq
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, check_shape


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """One score per edge; higher means more important to keep.

    `signed` says how edges are ranked: by the score itself (a harmful edge ranks last), or by
    its absolute value. Ties go to the earlier edge, so every ranking is reproducible.
    """

    graph: ComputationalGraph
    value: Float[Tensor, "src dst"]
    signed: bool

    def __post_init__(self) -> None:
        """Check the matrix against the graph."""
        check_shape(self.graph, self.value, "score")
        if not bool(self.value[self.graph.exists.to(self.value.device)].isfinite().all()):
            raise UserError(
                "scores must be finite numbers; some are NaN or infinite (of a model in half "
                "precision: type model.dtype=float32)"
            )

    @property
    def rank_by(self) -> Float[Tensor, "src dst"]:
        """What edges are ranked by: the score or its absolute value; minus infinity off graph."""
        value = self.value if self.signed else self.value.abs()
        return value.masked_fill(~self.graph.exists.to(value.device), -torch.inf)

    def absolute(self) -> "EdgeScores":
        """The same scores, ranked by absolute value."""
        return EdgeScores(self.graph, self.value, signed=False)

    def on(self, device: str) -> "EdgeScores":
        """The same scores on another device."""
        return EdgeScores(self.graph, self.value.detach().to(device), self.signed)

    def ranking(self) -> Int[Tensor, " edges"]:
        """Flat indices of all edges, best first."""
        order = self.rank_by.flatten().argsort(descending=True, stable=True)
        return order[: self.graph.n_edges]

    def top(self, n: int) -> EdgeMask:
        """The circuit of the `n` best edges.

        Raises:
            UserError: `n` is not between 0 and the number of edges.
        """
        self._check_size(n)
        keep = torch.zeros(self.value.numel(), device=self.value.device)
        keep[self.ranking()[:n]] = 1.0
        return EdgeMask(self.graph, keep.view_as(self.value))

    def threshold(self, minimum: float) -> EdgeMask:
        """The circuit of all edges that rank by `minimum` or more."""
        keep = (self.rank_by >= minimum) & self.graph.exists.to(self.value.device)
        return EdgeMask(self.graph, keep.float())

    def greedy(self, n: int) -> EdgeMask:
        """Grow a circuit of `n` edges backwards from the logits, best edge first.

        An edge becomes available once its destination's node is in the circuit, so every kept
        edge reaches the logits (`apply_greedy` of Hanna et al. 2024).

        Raises:
            UserError: `n` is not between 0 and the number of edges.
        """
        self._check_size(n)
        rank_by = self.rank_by.tolist()
        readers = _readers(self.graph)
        keep = torch.zeros_like(self.value, dtype=torch.float32)
        heap: list[tuple[float, int, int]] = []
        included: set[int | None] = set()

        def include(node: int | None) -> None:
            if node in included:
                return
            included.add(node)
            for v in readers[node]:
                for u in range(int(self.graph.exists[:, v].sum())):
                    heapq.heappush(heap, (-rank_by[u][v], u, v))

        include(None)
        for _ in range(n):
            _, u, v = heapq.heappop(heap)
            keep[u, v] = 1.0
            include(u)
        return EdgeMask(self.graph, keep)

    def _check_size(self, n: int) -> None:
        if not 0 <= n <= self.graph.n_edges:
            raise UserError(f"{n} edges were asked for; the graph has {self.graph.n_edges:,}")


def _readers(graph: ComputationalGraph) -> dict[int | None, list[int]]:
    readers: dict[int | None, list[int]] = {0: []}
    for destination, writer in enumerate(graph.writer_of):
        readers.setdefault(writer, []).append(destination)
    return readers

"""Circuits and scores as one matrix of sources by destinations.

An `EdgeMask` says how much of each edge is kept (1 keep, 0 ablate, between = interpolate); an
`EdgeScores` ranks edges and turns into masks. Keeping both on the graph's own matrix makes
ranking, pruning, comparing and saving a few lines each, and lets any method be a function of
tensors (the layout of EAP-IG, Hanna et al. 2024).
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import UserError
from benchmark.graph.circuits_file import StoredCircuits, StoredScores
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.pruning import drop_dead_ends, drop_unfed


class Pruning(Enum):
    """Which dangling edges `EdgeMask.pruned` drops.

    `dead_ends`: edges into nodes that cannot reach the logits. Dropping them never changes the
    logits, under any ablation.
    `dangling`: those, and edges out of heads and MLPs that have no kept input. Under
    counterfactual ablation such a node carries its corrupted value either way, so dropping its
    out-edges changes nothing (if position 0 is ablated too, or clean and corrupted prompts begin
    with the same token); under zero, mean, resample, noise or optimal ablation it computes
    something from ablated inputs that is not its own ablation value, and the logits change.
    """

    dead_ends = "dead_ends"
    dangling = "dangling"


@dataclass(frozen=True, eq=False)
class EdgeMask:
    """How much of each edge is kept.

    Raises:
        UserError: the matrix has the wrong shape, leaves [0, 1], or is not zero off the graph.
    """

    graph: ComputationalGraph
    keep: Float[Tensor, "src dst"]

    def __post_init__(self) -> None:
        """Check the matrix against the graph."""
        _check_shape(self.graph, self.keep, "mask")
        if not bool(((self.keep >= 0) & (self.keep <= 1)).all()):
            raise UserError("mask values must lie in [0, 1]; 1 keeps an edge and 0 ablates it")
        if bool((self.keep[~self.graph.exists.to(self.keep.device)] != 0).any()):
            raise UserError("the mask is not 0 where the graph has no edge; multiply by its exists")

    @classmethod
    def full(cls, graph: ComputationalGraph) -> "EdgeMask":
        """Every edge kept: the whole model."""
        return cls(graph, graph.exists.float())

    @classmethod
    def empty(cls, graph: ComputationalGraph) -> "EdgeMask":
        """Every edge ablated."""
        return cls(graph, torch.zeros(graph.exists.shape))

    @classmethod
    def of_edges(cls, graph: ComputationalGraph, names: Iterable[str]) -> "EdgeMask":
        """The circuit of exactly these edges, named like `a0.h1->m1`."""
        keep = torch.zeros(graph.exists.shape)
        for name in names:
            keep[graph.edge(name)] = 1.0
        return cls(graph, keep)

    @classmethod
    def of_components(cls, graph: ComputationalGraph, keep: Float[Tensor, " src"]) -> "EdgeMask":
        """A circuit of whole components: all out-edges of a source share its value."""
        return cls(graph, keep[:, None] * graph.exists.to(keep))

    @property
    def size(self) -> int:
        """Edges kept, in part or whole."""
        return int((self.keep > 0).sum())

    @property
    def n_components(self) -> int:
        """Components with a kept out-edge."""
        return int((self.keep > 0).any(1).sum())

    @property
    def density(self) -> float:
        """Kept edges as a share of the graph's."""
        return self.size / self.graph.n_edges

    def edges(self) -> list[str]:
        """The names of all kept edges, in order of source, then destination."""
        return [self.graph.edge_name(*edge) for edge in self.keep.nonzero().tolist()]

    def pruned(self, pruning: Pruning) -> "EdgeMask":
        """The mask without dangling edges; see `Pruning` for which, and when it is exact.

        A head counts as fed when any of its q, k and v has a kept in-edge (Li & Janson 2024).
        """
        keep = drop_dead_ends(self.graph, self.keep)
        if pruning is Pruning.dangling:
            # No third sweep: whatever a fed node feeds is fed, so its path to the logits stays.
            keep = drop_unfed(self.graph, keep)
        return EdgeMask(self.graph, keep)

    def save(self, path: Path) -> None:
        """Write a file of this one circuit, atomically."""
        keep = as_array(self.keep)[None]
        StoredCircuits(self.graph.outline, keep, ("",), (None,)).write(path)

    @classmethod
    def load(cls, path: Path) -> "EdgeMask":
        """Read a mask that `save` wrote.

        Raises:
            UserError: the file cannot be read, or has more than one circuit.
        """
        stored = StoredCircuits.read(path)
        if len(stored.keep) != 1:
            raise UserError(f"{path} has {len(stored.keep)} circuits, not one")
        graph = ComputationalGraph.of_outline(stored.graph)
        return cls(graph, torch.from_numpy(stored.keep[0]))


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
        _check_shape(self.graph, self.value, "score")
        if not bool(self.value[self.graph.exists.to(self.value.device)].isfinite().all()):
            raise UserError("scores must be finite numbers; some are NaN or infinite")

    @property
    def importance(self) -> Float[Tensor, "src dst"]:
        """What edges are ranked by: the score or its absolute value; minus infinity off graph."""
        importance = self.value if self.signed else self.value.abs()
        return importance.masked_fill(~self.graph.exists.to(importance.device), -torch.inf)

    def absolute(self) -> "EdgeScores":
        """The same scores, ranked by absolute value."""
        return EdgeScores(self.graph, self.value, signed=False)

    def on(self, device: str) -> "EdgeScores":
        """The same scores on another device."""
        return EdgeScores(self.graph, self.value.detach().to(device), self.signed)

    def ranking(self) -> Int[Tensor, " edges"]:
        """Flat indices of all edges, best first."""
        order = self.importance.flatten().argsort(descending=True, stable=True)
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
        """The circuit of all edges whose importance is at least `minimum`."""
        keep = (self.importance >= minimum) & self.graph.exists.to(self.value.device)
        return EdgeMask(self.graph, keep.float())

    def greedy(self, n: int) -> EdgeMask:
        """Grow a circuit of `n` edges backwards from the logits, best edge first.

        An edge becomes available once its destination's node is in the circuit, so every kept
        edge reaches the logits (`apply_greedy` of Hanna et al. 2024).

        Raises:
            UserError: `n` is not between 0 and the number of edges.
        """
        self._check_size(n)
        importance = self.importance.tolist()
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
                    heapq.heappush(heap, (-importance[u][v], u, v))

        include(None)
        for _ in range(n):
            _, u, v = heapq.heappop(heap)
            keep[u, v] = 1.0
            include(u)
        return EdgeMask(self.graph, keep)

    def save(self, path: Path) -> None:
        """Write a file of this one ranking, atomically."""
        value = as_array(self.value)[None]
        StoredScores(self.graph.outline, value, ("",), (self.signed,)).write(path)

    @classmethod
    def load(cls, path: Path) -> "EdgeScores":
        """Read scores that `save` wrote.

        Raises:
            UserError: the file cannot be read, or has more than one ranking.
        """
        stored = StoredScores.read(path)
        if len(stored.value) != 1:
            raise UserError(f"{path} has {len(stored.value)} rankings, not one")
        graph = ComputationalGraph.of_outline(stored.graph)
        return cls(graph, torch.from_numpy(stored.value[0]), stored.signed[0])

    def _check_size(self, n: int) -> None:
        if not 0 <= n <= self.graph.n_edges:
            raise UserError(f"{n} edges were asked for; the graph has {self.graph.n_edges:,}")


def stack(masks: Sequence[EdgeMask]) -> Float[Tensor, "masks src dst"]:
    """Several masks of one graph as the rows of one forward pass."""
    if len({mask.graph for mask in masks}) != 1:
        raise UserError("masks of different graphs (or none) cannot be stacked")
    return torch.stack([mask.keep for mask in masks])


def as_array(matrix: Tensor) -> NDArray[np.floating]:
    """A matrix for a file: in float64 if it is that, else in float32."""
    matrix = matrix.detach().cpu()
    return (matrix if matrix.dtype is torch.float64 else matrix.float()).numpy()


def _readers(graph: ComputationalGraph) -> dict[int | None, list[int]]:
    readers: dict[int | None, list[int]] = {0: []}
    for destination, writer in enumerate(graph.writer_of):
        readers.setdefault(writer, []).append(destination)
    return readers


def _check_shape(graph: ComputationalGraph, matrix: Tensor, kind: str) -> None:
    allowed = (graph.n_sources, graph.n_destinations)
    if tuple(matrix.shape) != allowed:
        raise UserError(
            f"the {kind} matrix has shape {tuple(matrix.shape)}; this graph needs {allowed} "
            "(sources, destinations)"
        )

"""Circuits as one matrix of sources by destinations.

An `EdgeMask` says how much of each edge is kept (1 keep, 0 ablate, between = interpolate). Keeping
it on the graph's own matrix makes pruning, comparing and saving a few lines each, and lets any
method be a function of tensors (the layout of EAP-IG, Hanna et al. 2024). Its use in a forward
pass and the gradient of its entries are in benchmark/forward/mixture.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import UserError
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
        check_shape(self.graph, self.keep, "mask")
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


def stack(masks: Sequence[EdgeMask]) -> Float[Tensor, "masks src dst"]:
    """Several masks of one graph as the rows of one forward pass."""
    if len({mask.graph for mask in masks}) != 1:
        raise UserError("masks of different graphs (or none) cannot be stacked")
    return torch.stack([mask.keep for mask in masks])


def as_array(matrix: Tensor) -> NDArray[np.floating]:
    """A matrix for a file: in float64 if it is that, else in float32."""
    matrix = matrix.detach().cpu()
    return (matrix if matrix.dtype is torch.float64 else matrix.float()).numpy()


def check_shape(graph: ComputationalGraph, matrix: Tensor, what: str) -> None:
    """Refuse a matrix of another graph.

    Raises:
        UserError: its shape is not that of the graph's edges.
    """
    allowed = (graph.n_sources, graph.n_destinations)
    if tuple(matrix.shape) != allowed:
        raise UserError(
            f"the {what} matrix has shape {tuple(matrix.shape)}; this graph needs {allowed} "
            "(sources, destinations)"
        )

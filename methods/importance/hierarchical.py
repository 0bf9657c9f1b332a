"""Hierarchical: a search in a tree of sets of nodes, the most promising branch first.

Kramar et al. (2024, arXiv 2403.00745, section 4). The children of a set are measured in the order
of what the set itself was worth; a set of one node is that node's measurement.
"""

import heapq
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.seeds import generator
from methods.importance.blocks import effects_of_groups
from methods.importance.nodes.estimator import Estimate, NodeEstimator
from methods.importance.nodes.problem import NodeProblem
from methods.ranges import check_counts


@dataclass(frozen=True)
class Hierarchical(NodeEstimator):
    """Settings of the search in a tree; see conf/method/hierarchical.yaml."""

    branching: int
    levels: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "levels")
        if self.branching < 2:
            raise UserError(f"method.branching={self.branching} must be 2 or more")

    def estimate(self, asked: NodeProblem, seed: int) -> Estimate:
        """All sets are measured at once, since the search changes only which are counted."""
        n_nodes = len(asked.nodes)
        place = torch.randperm(n_nodes, generator=generator(seed, "tree"))
        sizes = [self.branching**level for level in reversed(range(1, self.levels))]
        of_sets = [effects_of_groups(asked, place // size) for size in sizes if size < n_nodes]
        worth = [asked.contribution(effects).tolist() for effects in of_sets]
        turns = search(worth, n_nodes, self.branching)
        spent = asked.n_pairs * (2 + turns[place])
        return Estimate(asked.truth, asked.contribution(asked.truth), spent)


def search(worth: list[list[float]], n_leaves: int, branching: int) -> Float[Tensor, " leaves"]:
    """How many sets have been measured when each leaf is.

    Args:
        worth: of the sets of each level, the largest sets first; the children of set i are
            branching * i and those after it, and leaves are the children of the last level.
        n_leaves: single nodes.
        branching: children of a set.
    """
    counts, measured = [*map(len, worth), n_leaves], 0
    turns = torch.zeros(n_leaves, dtype=torch.float64)
    queue = [(-float("inf"), 0, index) for index in range(counts[0])]
    while queue:
        _, level, index = heapq.heappop(queue)
        measured += 1
        size = branching ** (len(worth) - level)
        leaves = range(n_leaves)[size * index : size * (index + 1)]
        # The last set of a level may be a single node.
        if len(leaves) == 1:
            turns[leaves[0]] = measured
            continue
        first = branching * index
        for child in range(first, min(first + branching, counts[level + 1])):
            heapq.heappush(queue, (-worth[level][index], level + 1, child))
    return turns

"""Blocks: patch random sets of nodes together, then the members of the sets that matter most.

Kramar et al. (2024, arXiv 2403.00745, section 4). A set of little effect is visited late, so its
members cost nothing before.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.effects.nodes.patching import SiteRun
from benchmark.seeds import generator
from methods.importance.nodes.estimator import Estimate, NodeEstimator
from methods.importance.nodes.problem import NodeProblem
from methods.ranges import check_counts

# Sets of nodes are rows of truth values, of which this many are made at once.
GROUPS_AT_ONCE = 256


@dataclass(frozen=True)
class Blocks(NodeEstimator):
    """Settings of patching by blocks; see conf/method/blocks.yaml."""

    block_size: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "block_size")

    def estimate(self, asked: NodeProblem, seed: int) -> Estimate:
        """Every node is worth what its block is."""
        order = torch.randperm(len(asked.nodes), generator=generator(seed, "blocks"))
        block_of = torch.empty_like(order)
        block_of[order] = torch.arange(len(order)) // self.block_size
        of_blocks = effects_of_groups(asked, block_of)
        effects = of_blocks[:, block_of]
        worth = asked.contribution(of_blocks)
        best_first = worth.argsort(descending=True, stable=True).tolist()
        blocks = order.split(self.block_size)
        visited = torch.cat([blocks[block] for block in best_first])
        rank = torch.empty(len(order), dtype=torch.float64)
        rank[visited] = torch.arange(1.0, len(order) + 1, dtype=torch.float64)
        spent = asked.n_pairs * (2 + len(worth) + rank)
        return Estimate(effects, worth[block_of], spent)


def effects_of_groups(
    asked: NodeProblem, group_of: Int[Tensor, " nodes"]
) -> Float[Tensor, "pairs groups"]:
    """The effect of patching all nodes of a group together, for every pair."""
    groups = torch.arange(int(group_of.max()) + 1).split(GROUPS_AT_ONCE)

    def of_batch(clean: SiteRun) -> Float[Tensor, "batch groups"]:
        sets = ((group_of == part[:, None])[:, None] for part in groups)
        return torch.cat([asked.of_sets(clean, chosen).cpu() for chosen in sets]).T

    return torch.cat([of_batch(clean) for clean in asked.clean_runs()])

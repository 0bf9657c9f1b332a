"""Iterative: verify nodes without any estimate (Kramar et al. 2024, arXiv 2403.00745, section 4).

For one prompt pair that is a random order. For several, every node is measured on one pair after
the other, and after each pair the best of those that are not verified are measured on all others.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.seeds import generator
from methods.importance.nodes.estimator import Estimate, NodeEstimator
from methods.importance.nodes.problem import NodeProblem

Contribution = Callable[[Float[Tensor, "pairs nodes"]], Float[Tensor, " nodes"]]


@dataclass(frozen=True)
class Iterative(NodeEstimator):
    """Settings of iterative verification; see conf/method/iterative.yaml."""

    def estimate(self, asked: NodeProblem, seed: int) -> Estimate:
        """Measurements are looked up in the truth, and counted as if each were made now."""
        contribution = asked.contribution(asked.truth)
        spent = 2 * asked.n_pairs + passes_until_verified(asked.truth, asked.contribution, seed)
        return Estimate(asked.truth, contribution, spent)


def passes_until_verified(
    effects: Float[Tensor, "pairs nodes"], contribution: Contribution, seed: int
) -> Float[Tensor, " nodes"]:
    """Passes until each node is measured on all pairs.

    Args:
        effects: the effect of every node for every pair.
        contribution: what nodes are ranked by, from the effects on the pairs that were seen.
        seed: of the order of nodes and pairs.
    """
    n_pairs, n_nodes = effects.shape
    draw = generator(seed, "iterative")
    nodes = torch.randperm(n_nodes, generator=draw)
    pairs = torch.randperm(n_pairs, generator=draw)
    at_once, spent = math.ceil(n_nodes / n_pairs), torch.zeros(n_nodes, dtype=torch.float64)
    total = 0
    for n_seen in range(1, n_pairs + 1):
        if n_seen == n_pairs:
            spent[nodes] = total + torch.arange(1.0, len(nodes) + 1, dtype=torch.float64)
            break
        total += len(nodes)
        seen = contribution(effects[pairs[:n_seen]][:, nodes])
        order = nodes[seen.argsort(descending=True, stable=True)]
        best, nodes = order[:at_once], order[at_once:]
        left = n_pairs - n_seen
        spent[best] = total + left * torch.arange(1.0, len(best) + 1, dtype=torch.float64)
        total += left * len(best)
    return spent

"""Subsampling: patch random sets of nodes, and compare runs with and without each node.

Algorithm 1 of Kramar et al. (2024, arXiv 2403.00745). Each pass patches every node with a small
probability; a node is worth the difference of the mean effects of sets with and without it
(equation 12). It is unbiased where effects add up; interactions of pairs of nodes bias it by the
probability times their sum.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.seeds import generator
from methods.importance.nodes.estimator import Estimate, NodeEstimator
from methods.importance.nodes.problem import NodeProblem
from methods.importance.nodes.recall import spent_by_ranking
from methods.importance.nodes.sums import SubsamplingSums
from methods.ranges import check_counts

# Sets are drawn and measured in runs of at most this many for each pair.
SETS_AT_ONCE = 64


@dataclass(frozen=True)
class Subsampling(NodeEstimator):
    """Settings of subsampling; see conf/method/subsampling.yaml."""

    probability: float
    draws: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "draws")
        check_probability(self.probability)

    def estimate(self, asked: NodeProblem, seed: int) -> Estimate:
        """Contributions are magnitudes of mean differences over all draws (equation 13)."""
        sums = SubsamplingSums(len(asked.nodes))
        of_pairs = [SubsamplingSums(len(asked.nodes)) for _ in range(asked.n_pairs)]
        free = torch.ones(len(asked.nodes), dtype=torch.bool)
        for pair, masks, effects in drawn(asked, free, self.probability, self.draws, seed):
            sums.add(masks, effects)
            of_pairs[pair].add(masks, effects)
        contribution = sums.difference.abs()
        # A draw counts in full, as verifying a node does, wherever its pass begins.
        passes = 2 * asked.n_pairs + self.draws
        spent = spent_by_ranking(contribution, passes, asked.n_pairs, seed)
        each = torch.stack([own.difference for own in of_pairs])
        return Estimate(each, contribution, spent, sums.standard_error)


def check_probability(probability: float) -> None:
    """Check that some nodes are patched in a draw, and some are not.

    Raises:
        UserError: it is no probability strictly between 0 and 1.
    """
    if not 0 < probability < 1:
        raise UserError(f"method.probability={probability} must lie between 0 and 1, say 0.01")


def drawn(
    asked: NodeProblem,
    free: Bool[Tensor, " nodes"],
    probability: float,
    n_draws: int,
    seed: int,
) -> Iterator[tuple[int, Bool[Tensor, "draws nodes"], Float[Tensor, " draws"]]]:
    """Random sets of the free nodes and their effects, pair by pair.

    Draws are spread evenly over the pairs, which are taken in a random order.
    """
    order = torch.randperm(asked.n_pairs, generator=generator(seed, "pairs"))
    n_each = torch.full((asked.n_pairs,), n_draws // asked.n_pairs)
    n_each[order[: n_draws % asked.n_pairs]] += 1
    pair = 0
    for clean in asked.clean_runs():
        for prompt in range(len(clean.batch)):
            alone = clean.of_pair(prompt)
            for start in range(0, int(n_each[pair]), SETS_AT_ONCE):
                count = min(SETS_AT_ONCE, int(n_each[pair]) - start)
                draw = generator(seed, "sets", pair, start)
                masks = (torch.rand(count, len(free), generator=draw) < probability) & free
                yield pair, masks, asked.of_sets(alone, masks[:, None])[:, 0].cpu().double()
            pair += 1

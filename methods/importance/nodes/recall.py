"""The cost of verified recall: how soon an estimate leads to the nodes that matter most.

An estimate only says in which order to measure nodes. They are patched one by one, a forward pass
for each pair of prompts, and the K most important ones cost all that was spent when the last of
them was measured (Kramar, Lieberum, Shah & Nanda 2024, arXiv 2403.00745). A node that is ranked too
high costs a measurement; one that is ranked too low holds up all larger K. The oracle, which knows
the order, spends K passes for each pair.
"""

import heapq
import math

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.errors import UserError
from benchmark.seeds import generator

# How many of the K most important nodes must be measured, by the ending of the numbers' names.
RECALL_SHARES = {"100": 1.0, "90": 0.9}
SIZES_PER_FACTOR_TEN = 50
# Of the largest contribution; about what float32 leaves of a difference of two metrics.
RECALL_ROUNDING = 1e-6


def contributions(
    effects: Float[Tensor, "pairs nodes"], *, abs_inside: bool
) -> Float[Tensor, " nodes"]:
    """How much each node matters on a distribution, in the metric's unit.

    Args:
        effects: what patching each node does to the metric, on every pair of prompts.
        abs_inside: the mean of magnitudes, so that opposite effects do not cancel (equation
            5); otherwise the magnitude of the mean.
    """
    return effects.abs().mean(0) if abs_inside else effects.mean(0).abs()


def spent_by_ranking(
    estimates: Float[Tensor, " nodes"], estimation_cost: float | int, n_pairs: int, seed: int
) -> Float[Tensor, " nodes"]:
    """Forward passes spent when each node is measured, the highest estimate first.

    Args:
        estimates: of contributions; nodes without one (not a number) come last.
        estimation_cost: forward passes that the estimates took.
        n_pairs: forward passes that measuring a node takes, one for each pair of prompts.
        seed: of the order among equal estimates.
    """
    shuffled = torch.randperm(len(estimates), generator=generator(seed, "ties"))
    order = shuffled[torch.argsort(-estimates.cpu()[shuffled], stable=True)]
    rank = torch.empty(len(order), dtype=torch.float64)
    rank[order] = torch.arange(1, len(order) + 1, dtype=torch.float64)
    return estimation_cost + n_pairs * rank


def recall_cost(
    contribution: Float[Tensor, " nodes"], spent: Float[Tensor, " nodes"], share: float
) -> Float[Tensor, " sizes"]:
    """Forward passes spent when this share of the K most important nodes is measured.

    There is a cost for every K from 1 to the number of nodes that contribute more than rounding; of
    equal contributions the first counts as the larger.

    Args:
        contribution: the true one of each node.
        spent: forward passes spent when it is measured.
        share: of the K nodes, rounded up to whole ones.

    Raises:
        UserError: no node contributes.
    """
    least = RECALL_ROUNDING * float(contribution.max())
    order = torch.argsort(-contribution, stable=True)[: int((contribution > least).sum())]
    if not len(order):
        raise UserError(
            "patching any node changes nothing on these prompts, so there is nothing to recall; "
            "give prompts whose clean and corrupted versions the model answers differently"
        )
    # The costs so far, the smallest that are wanted apart from the others.
    wanted: list[float] = []
    others: list[float] = []
    costs = []
    for k, cost in enumerate(spent.cpu()[order.cpu()].tolist(), 1):
        heapq.heappush(others, -heapq.heappushpop(wanted, -cost))
        if len(wanted) < math.ceil(share * k):
            heapq.heappush(wanted, -heapq.heappop(others))
        costs.append(-wanted[0])
    return torch.tensor(costs, dtype=torch.float64)


def relative_cost(cost: Float[Tensor, " sizes"], n_pairs: int) -> float:
    """How many times the oracle's cost, in the geometric mean over all K with weights 1 / K.

    It is 1 for the oracle, and the area between a curve and the oracle's on log axes otherwise
    (the paper's inverse-rank-weighted relative geometric mean).
    """
    sizes = _up_to(len(cost))
    weights = 1 / sizes
    return ((cost / (n_pairs * sizes)).log() @ weights / weights.sum()).exp().item()


def recall_table(
    contribution: Float[Tensor, " nodes"], spent: Float[Tensor, "repeats nodes"], n_pairs: int
) -> pd.DataFrame:
    """The costs of each repetition: repeat, k, cost_100, cost_90 and oracle, in forward passes.

    Of all K, about 50 for each power of ten are kept.
    """
    tables = []
    for repeat, of_nodes in enumerate(spent):
        costs = {
            name: recall_cost(contribution, of_nodes, RECALL_SHARES[name]) for name in RECALL_SHARES
        }
        kept = _kept_sizes(len(costs["100"]))
        columns = {f"cost_{name}": cost[kept - 1].numpy() for name, cost in costs.items()}
        tables.append(
            pd.DataFrame(dict(repeat=repeat, k=kept.numpy(), **columns, oracle=n_pairs * kept))
        )
    return pd.concat(tables, ignore_index=True)


def recall_summary(
    contribution: Float[Tensor, " nodes"], spent: Float[Tensor, "repeats nodes"], n_pairs: int
) -> dict[str, float]:
    """The geometric mean over repetitions of `relative_cost`, and its spread.

    The numbers are relative_cost and relative_cost_90, each with its geometric standard deviation
    (relative_cost_spread, relative_cost_90_spread), a factor that is 1 for a single repetition.
    """
    summary = {}
    for name, share in {"relative_cost": 1.0, "relative_cost_90": 0.9}.items():
        costs = [relative_cost(recall_cost(contribution, one, share), n_pairs) for one in spent]
        logs = torch.tensor(costs, dtype=torch.float64).log()
        summary[name] = logs.mean().exp().item()
        summary[f"{name}_spread"] = logs.std(correction=0).exp().item()
    return summary


def _kept_sizes(most: int) -> Int[Tensor, " kept"]:
    """The same sizes for every number of nodes, but for the last."""
    n_steps = math.floor(SIZES_PER_FACTOR_TEN * math.log10(most))
    steps = torch.arange(n_steps + 1, dtype=torch.float64) / SIZES_PER_FACTOR_TEN
    return torch.cat([10**steps, torch.tensor([float(most)])]).round().long().unique()


def _up_to(most: int) -> Float[Tensor, " sizes"]:
    return torch.arange(1, most + 1, dtype=torch.float64)

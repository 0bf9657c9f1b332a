"""What methods that pay a price for a circuit's size share: a grid of prices, side by side.

Every price has its own masks and, under optimal ablation, its own constants, and all see the same
prompts and random numbers; so a price gives the same circuit whatever the rest of the grid is,
up to the rounding of passes that they share.

What a setting of None stands for are the rules of Li & Janson (2024, arXiv 2409.09951, appendix F),
for edges with a logit each.
"""

from collections.abc import Mapping
from dataclasses import asdict

from jaxtyping import Float
from torch import Tensor

from benchmark.ablations.contract import Ablation
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.method.problem import Problem
from methods.circuits.masks.training import STEPS, TrainsMasks
from methods.ranges import check_above_zero, check_counts, check_each


def check_prices(method: TrainsMasks, prices: list[float]) -> None:
    """Check the ranges of the settings that these methods share.

    Raises:
        UserError: a setting is out of its range.
    """
    check_each("prices", prices)
    check_counts(method, "masks_per_step", "batch_size", "prices_at_once", "steps")
    check_above_zero(method, "learning_rate", "constants_learning_rate")


def prices_that_fit(problem: Problem, batch_size: int, masks_per_step: int) -> int:
    """Prices whose masks fit into a pass together; at least one."""
    return max(1, problem.masks_at_once(batch_size) // masks_per_step)


def steps_of(ablation: Ablation) -> int:
    """Optimiser steps: more under optimal ablation."""
    return 2 * STEPS if ablation.traits.trained else STEPS


def learning_rates(
    given: float | None, prices: list[float], ablation: Ablation, slower: Mapping[str, float]
) -> list[float]:
    """Of each price's logits, if none is given: slower for large prices and for live values.

    `slower` holds what divides the rate, by a trait of the ablation.
    """
    if given is not None:
        return [given] * len(prices)
    traits = asdict(ablation.traits)
    by = max((by for trait, by in slower.items() if traits[trait]), default=1)
    rates = [0.15 if price <= 1e-4 else 0.10 if price <= 5e-4 else 0.05 for price in prices]
    return [rate / by for rate in rates]


def node_prices(given: float | None, prices: list[float]) -> list[float]:
    """What a head costs beside the prices of its edges."""
    return [min(0.5 * price, 2e-4) if given is None else given for price in prices]


def circuits_above(
    graph: ComputationalGraph,
    logits: Float[Tensor, "prices src dst"],
    given: float | None,
    ablation: Ablation,
) -> list[EdgeMask]:
    """The edges whose logit is above the given threshold, without dangling ones.

    If none is given it is stricter under optimal ablation.
    """
    threshold = (0.5 if ablation.traits.trained else 0.0) if given is None else given
    keep = (logits > threshold) & graph.exists.to(logits.device)
    return [EdgeMask(graph, kept).pruned(Pruning.dangling) for kept in keep.float()]

"""Uniform gradient sampling (Li & Janson 2024, arXiv 2409.09951, section 3 and appendix F).

Every edge has a logit; its mask is drawn from {0, 1} or uniformly between, with a window around
the edge's probability that closes as the edge is decided. The gradient in a mask value inside the
window estimates, by the fundamental theorem of calculus, what the edge is worth, and only such
draws are used. The loss is the mean loss gap plus a price on the expected number of edges. A grid
of prices is trained side by side, each with its own masks and constants, on the same prompts and
random numbers; so a price gives the same circuit whatever the rest of the grid is.

A mask serves all prompts of a step (the authors draw one for every prompt), and its dangling edges
are found from it alone.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from benchmark.method.problem import Problem
from methods.circuits.masks.prices import PricedEdges
from methods.circuits.masks.uniform import UniformMasks
from methods.ranges import check_above_zero


@dataclass(frozen=True)
class UGS(PricedEdges):
    """Settings of uniform gradient sampling; see conf/method/ugs.yaml."""

    prices: list[float]
    prices_at_once: int | None
    masks_per_step: int
    batch_size: int
    steps: int | None
    learning_rate: float | None
    constants_learning_rate: float
    initial_logit: float
    window: float
    node_price: float | None
    clip: float
    threshold: float | None
    version: ClassVar[int] = 1
    cost: ClassVar[str] = "in all steps x batch_size x masks x prices, forward and backward"
    slower: ClassVar[dict[str, float]] = {"from_corrupted": 5, "needs_donors": 2}

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_above_zero(self, "window")

    def _masks(self, problem: Problem, prices: list[float]) -> UniformMasks:
        return UniformMasks(
            problem.graph,
            torch.tensor(prices, device=problem.model.device),
            learning_rates=[self._learning_rate(price, problem.ablation) for price in prices],
            node_prices=[self._node_price(price) for price in prices],
            masks_per_step=self.masks_per_step,
            initial_logit=self.initial_logit,
            window=self.window,
            clip=self.clip,
            seed=problem.seed,
        )

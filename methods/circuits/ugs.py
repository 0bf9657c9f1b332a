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

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from methods.circuits.masks.prices import (
    check_prices,
    circuits_above,
    learning_rates,
    node_prices,
    prices_that_fit,
    steps_of,
)
from methods.circuits.masks.training import Trained, TrainsMasks, trained_circuits
from methods.circuits.masks.uniform import UniformMasks
from methods.ranges import check_above_zero, check_not_below_zero

# What divides the learning rate, by a trait of the ablation.
SLOWER = {"from_corrupted": 5.0, "needs_donors": 2.0}


@dataclass(frozen=True)
class UGS(TrainsMasks):
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

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_prices(self, self.prices)
        check_above_zero(self, "window", "clip")
        check_not_below_zero(self, "node_price")

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """One circuit per price, whatever the sizes asked for; the largest circuit first."""
        trained = partial(self._trained, problem)
        fit = prices_that_fit(problem, self.batch_size, self.masks_per_step)
        return trained_circuits("price", self.prices, self.prices_at_once or fit, trained)

    def _trained(self, problem: Problem, prices: list[float], first: int) -> Trained:
        """The circuit of each of these prices; `first` is the number of the first one."""
        ablation = problem.ablation
        masks = UniformMasks(
            problem.graph,
            torch.tensor(prices),
            learning_rates=learning_rates(self.learning_rate, prices, ablation, SLOWER),
            node_prices=node_prices(self.node_price, prices),
            masks_per_step=self.masks_per_step,
            initial_logit=self.initial_logit,
            window=self.window,
            clip=self.clip,
            seed=problem.seed,
            device=problem.model.device,
        )
        steps = self._steps(problem, steps_of(ablation))
        self._train(problem, masks, len(prices), first, steps)
        circuits = circuits_above(problem.graph, masks.logits, self.threshold, ablation)
        return circuits, masks.probabilities

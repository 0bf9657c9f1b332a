"""Hard-concrete gradient sampling, UGS's baseline (Li & Janson 2024, arXiv 2409.09951, section 3).

Like UGS, but masks are hard-concrete draws, differentiable in a logit and a temperature per edge,
both trained. The authors stretch draws to [-0.12, 1.08], where the hard-concrete distribution has
[-0.1, 1.1]; the price is that of the latter either way. The temperature plays no part in which
edges are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import ClassVar

import torch

from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from methods.circuits.masks.concrete import ConcreteMasks
from methods.circuits.masks.hard_concrete import LOW
from methods.circuits.masks.prices import (
    check_prices,
    circuits_above,
    learning_rates,
    node_prices,
    prices_that_fit,
    steps_of,
)
from methods.circuits.masks.training import Trained, TrainsMasks, trained_circuits
from methods.ranges import check_above_zero, check_not_below_zero

# What divides the learning rate, by a trait of the ablation.
SLOWER = {"from_corrupted": 3.0, "needs_donors": 1.5}


class Stretch(Enum):
    """Where draws are stretched to before they are clipped: the authors' interval or the usual."""

    authors = "authors"
    standard = "standard"


@dataclass(frozen=True)
class HCGS(TrainsMasks):
    """Settings of hard-concrete gradient sampling; see conf/method/hcgs.yaml."""

    prices: list[float]
    prices_at_once: int | None
    masks_per_step: int
    batch_size: int
    steps: int | None
    learning_rate: float | None
    constants_learning_rate: float
    initial_logit: float
    stretch: Stretch
    node_price: float | None
    clip: float
    threshold: float | None
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_prices(self, self.prices)
        check_above_zero(self, "clip")
        check_not_below_zero(self, "node_price")

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """One circuit per price, whatever the sizes asked for; the largest circuit first."""
        trained = partial(self._trained, problem)
        fit = prices_that_fit(problem, self.batch_size, self.masks_per_step)
        return trained_circuits("price", self.prices, self.prices_at_once or fit, trained)

    def _trained(self, problem: Problem, prices: list[float], first: int) -> Trained:
        """The circuit of each of these prices; `first` is the number of the first one."""
        ablation = problem.ablation
        masks = ConcreteMasks(
            problem.graph,
            torch.tensor(prices),
            learning_rates=learning_rates(self.learning_rate, prices, ablation, SLOWER),
            node_prices=node_prices(self.node_price, prices),
            masks_per_step=self.masks_per_step,
            initial_logit=self.initial_logit,
            low=1.2 * LOW if self.stretch is Stretch.authors else LOW,
            clip=self.clip,
            seed=problem.seed,
            device=problem.model.device,
        )
        steps = self._steps(problem, steps_of(ablation))
        self._train(problem, masks, len(prices), first, steps)
        circuits = circuits_above(problem.graph, masks.logits, self.threshold, ablation)
        return circuits, masks.probabilities

"""Subnetwork probing: hard-concrete masks of nodes or edges at a price (Cao, Sanh & Rush 2021).

For nodes it is the version of Conmy et al. (2023, arXiv 2304.14997): a mask per q, k and v reader
of every head and per MLP, and the circuit is all edges between surviving nodes. For edges it is
that of auto-circuit and of InterpBench (Gupta et al. 2024, arXiv 2407.14494). The price is on the
mean probability of a mask other than 0.

A node or edge survives if its median draw is above one half. The authors draw once and look at
that; without a draw the same training gives the same circuit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from methods.circuits.masks.prices import check_prices, prices_that_fit
from methods.circuits.masks.probing import Granularity, ProbingMasks
from methods.circuits.masks.training import Trained, TrainsMasks, trained_circuits

# How far Adam can move a log-alpha in the authors' 3,000 steps at 0.001.
DISTANCE = 3.0


@dataclass(frozen=True)
class SubnetworkProbing(TrainsMasks):
    """Settings of subnetwork probing; see conf/method/subnetwork_probing.yaml."""

    granularity: Granularity
    prices: list[float]
    prices_at_once: int | None
    masks_per_step: int
    batch_size: int
    steps: int | None
    learning_rate: float | None
    constants_learning_rate: float
    initial_mask: float
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_prices(self, self.prices)
        if not 0 <= self.initial_mask <= 1:
            raise UserError(f"method.initial_mask={self.initial_mask} must lie in [0, 1]")

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """One circuit per price, whatever the sizes asked for; the largest circuit first."""
        trained = partial(self._trained, problem)
        fit = prices_that_fit(problem, self.batch_size, self.masks_per_step)
        return trained_circuits("price", self.prices, self.prices_at_once or fit, trained)

    def _trained(self, problem: Problem, prices: list[float], first: int) -> Trained:
        """What survives, without edges that cannot reach the logits, which change nothing."""
        steps = self._steps(problem)
        masks = ProbingMasks(
            problem.graph,
            torch.tensor(prices),
            self.granularity,
            learning_rate=self.learning_rate or DISTANCE / steps,
            masks_per_step=self.masks_per_step,
            initial_mask=self.initial_mask,
            seed=problem.seed,
            device=problem.model.device,
        )
        self._train(problem, masks, len(prices), first, steps)
        circuits = (EdgeMask(problem.graph, kept) for kept in masks.survivors())
        return [x.pruned(Pruning.dead_ends) for x in circuits], masks.probabilities

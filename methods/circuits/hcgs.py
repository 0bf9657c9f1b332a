"""Hard-concrete gradient sampling, UGS's baseline (Li & Janson 2024, arXiv 2409.09951, section 3).

Like UGS, but masks are hard-concrete draws, differentiable in a logit and a temperature per edge,
both trained. The authors stretch draws to [-0.12, 1.08], where the hard-concrete distribution has
[-0.1, 1.1]; the price is that of the latter either way. The temperature plays no part in which
edges are kept.
"""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import torch

from benchmark.method.problem import Problem
from methods.circuits.masks.concrete import ConcreteMasks
from methods.circuits.masks.hard_concrete import LOW
from methods.circuits.masks.prices import PricedEdges


class Stretch(Enum):
    """Where draws are stretched to before they are clipped: the authors' interval or the usual."""

    authors = "authors"
    standard = "standard"


@dataclass(frozen=True)
class HCGS(PricedEdges):
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
    cost: ClassVar[str] = "in all steps x batch_size x masks x prices, forward and backward"
    slower: ClassVar[dict[str, float]] = {"from_corrupted": 3, "needs_donors": 1.5}

    def _masks(self, problem: Problem, prices: list[float]) -> ConcreteMasks:
        return ConcreteMasks(
            problem.graph,
            torch.tensor(prices, device=problem.model.device),
            learning_rates=[self._learning_rate(price, problem.ablation) for price in prices],
            node_prices=[self._node_price(price) for price in prices],
            masks_per_step=self.masks_per_step,
            initial_logit=self.initial_logit,
            low=1.2 * LOW if self.stretch is Stretch.authors else LOW,
            clip=self.clip,
            seed=problem.seed,
        )

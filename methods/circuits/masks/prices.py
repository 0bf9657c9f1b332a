"""What methods that pay a price for a circuit's size share: a grid of prices, side by side.

Every price has its own masks and, under optimal ablation, its own constants, and all see the same
prompts and random numbers; so a price gives the same circuit whatever the rest of the grid is,
up to the rounding of passes that they share.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import ClassVar

from benchmark.ablations.contract import Ablation
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.method.circuits import FoundCircuit
from benchmark.method.problem import Problem
from methods.circuits.masks.priced import PricedMasks
from methods.circuits.masks.training import STEPS, TrainsMasks, in_groups
from methods.ranges import check_above_zero, check_counts, check_each, check_not_below_zero


class PriceGrid(TrainsMasks, ABC):
    """A method with a circuit per price; its dataclass has these fields."""

    prices: list[float]
    prices_at_once: int | None
    masks_per_step: int
    learning_rate: float | None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_each("prices", self.prices)
        check_counts(self, "masks_per_step", "batch_size", "prices_at_once", "steps")
        check_above_zero(self, "learning_rate", "constants_learning_rate")

    def discover(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """One circuit per price, whatever the sizes asked for; the largest circuit first."""
        found = []
        for first, prices in in_groups(self.prices, self.prices_at_once):
            pairs = zip(self._trained(problem, prices, first), prices, strict=True)
            found += [FoundCircuit(mask, f"price={price:g}") for mask, price in pairs]
        return found

    @abstractmethod
    def _trained(self, problem: Problem, prices: list[float], first: int) -> list[EdgeMask]:
        """The circuit of each of these prices; `first` is the number of the first one."""
        ...


class PricedEdges(PriceGrid):
    """The rules of Li & Janson (2024, arXiv 2409.09951, appendix F) for edges with a logit each."""

    node_price: float | None
    clip: float
    threshold: float | None
    # What divides the learning rate, by a trait of the ablation.
    slower: ClassVar[dict[str, float]]

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_above_zero(self, "clip")
        check_not_below_zero(self, "node_price")

    @abstractmethod
    def _masks(self, problem: Problem, prices: list[float]) -> PricedMasks:
        """The masks before training."""
        ...

    def _trained(self, problem: Problem, prices: list[float], first: int) -> list[EdgeMask]:
        """The edges whose logit is above the threshold, without dangling ones."""
        masks = self._masks(problem, prices)
        self._train(problem, masks, len(prices), first)
        exists = problem.graph.exists.to(masks.logits.device)
        keep = (masks.logits > self._threshold(problem.ablation)) & exists
        return [EdgeMask(problem.graph, kept).pruned(Pruning.dangling) for kept in keep.float()]

    def _steps(self, problem: Problem) -> int:
        """The authors' rule, unless a number is set: more under optimal ablation."""
        rule = 2 * STEPS if problem.ablation.traits.trained else STEPS
        return self.steps or problem.training_steps or rule

    def _learning_rate(self, price: float, ablation: Ablation) -> float:
        """The authors' rule, unless one is set: slower for large prices and for live donors."""
        if self.learning_rate is not None:
            return self.learning_rate
        rate = 0.15 if price <= 1e-4 else 0.10 if price <= 5e-4 else 0.05
        traits = asdict(ablation.traits)
        return rate / max((by for trait, by in self.slower.items() if traits[trait]), default=1)

    def _node_price(self, price: float) -> float:
        return min(0.5 * price, 2e-4) if self.node_price is None else self.node_price

    def _threshold(self, ablation: Ablation) -> float:
        """The authors' rule, unless one is set, for logits: stricter under optimal ablation."""
        if self.threshold is not None:
            return self.threshold
        return 0.5 if ablation.traits.trained else 0.0

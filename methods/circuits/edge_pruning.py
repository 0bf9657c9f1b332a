"""Edge Pruning (Bhaskar, Wettig, Friedman & Chen 2024, arXiv 2406.16778).

Every edge has a hard-concrete gate, and by setting every source too; gates are trained on the
loss gap and held to a sparsity by Lagrange multipliers while the sparsity asked for grows. Several
targets are trained side by side, each with its own gates, multipliers and, under optimal
ablation, constants, all on the same prompts and random numbers; so a target gives the same circuit
whatever the other targets are, up to the rounding of passes that they share.

The authors count the gates that are expected to be off for each block of readers apart; here they
are counted over the whole graph.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from methods.circuits.masks.schedule import Ramp, SparsitySchedule
from methods.circuits.masks.targeted import TargetedMasks
from methods.circuits.masks.training import Trained, TrainsMasks, trained_circuits
from methods.ranges import check_above_zero, check_counts, check_each, check_not_below_zero


@dataclass(frozen=True)
class EdgePruning(TrainsMasks):
    """Settings of Edge Pruning; see conf/method/edge_pruning.yaml."""

    targets: list[float] | None
    targets_at_once: int | None
    batch_size: int
    steps: int | None
    learning_rate: float
    multiplier_learning_rate: float
    constants_learning_rate: float
    weight_decay: float
    warm_up_steps: int
    ramp_steps: int
    ramp: Ramp
    initial_log_alpha: float
    component_masks: bool
    component_target: float | None
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.targets is not None:
            check_each("targets", self.targets)
        check_counts(self, "targets_at_once", "batch_size", "steps")
        rates = "learning_rate", "multiplier_learning_rate", "constants_learning_rate"
        check_above_zero(self, *rates)
        check_not_below_zero(
            self, "weight_decay", "warm_up_steps", "ramp_steps", "component_target"
        )
        if not math.isfinite(self.initial_log_alpha):
            raise UserError(f"method.initial_log_alpha={self.initial_log_alpha} must be a number")
        if self.component_target is not None and not self.component_masks:
            raise UserError(
                "method.component_target needs gates of sources; give component_masks=true"
            )

    @property
    def uses(self) -> frozenset[str]:
        """Sizes too, unless there are targets."""
        return super().uses | (set() if self.targets else {"sizes"})

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """One circuit per target, or per size asked for if no targets are set; largest first."""
        targets = self._targets(problem, sizes)
        subgraph = self._subgraph(problem).to(problem.model.device)
        at_once = self.targets_at_once or problem.masks_at_once(self.batch_size)
        trained = partial(self._trained, problem, subgraph)
        return trained_circuits("target", targets, at_once, trained)

    def _subgraph(self, problem: Problem) -> Bool[Tensor, "src dst"]:
        """The edges to prune: all. Others are never kept, and count as sparse from the start."""
        return problem.graph.exists

    def _targets(self, problem: Problem, sizes: Sequence[int]) -> list[float]:
        """Shares of edges to remove.

        Raises:
            UserError: no ramp leads there.
        """
        n_edges = problem.graph.n_edges
        targets = self.targets or [1 - size / n_edges for size in dict.fromkeys(sizes)]
        if self.ramp is Ramp.logarithmic and max([*targets, self.component_target or 0.0]) >= 1:
            raise UserError(
                "a logarithmic ramp needs targets below 1 (and sizes above 0); give "
                "method.ramp=linear"
            )
        return targets

    def _trained(
        self, problem: Problem, subgraph: Bool[Tensor, "src dst"], targets: list[float], first: int
    ) -> Trained:
        """Each target's circuit, without edges that cannot reach the logits: they change nothing.

        `first` is the number of the first target.
        """
        steps = self._steps(problem)
        masks = self.masks(subgraph, problem.graph.n_edges, targets, steps, problem.seed)
        self._train(problem, masks, len(targets), first, steps)
        circuits = (EdgeMask(problem.graph, kept) for kept in masks.circuits())
        return [x.pruned(Pruning.dead_ends) for x in circuits], masks.probabilities

    def masks(
        self,
        subgraph: Bool[Tensor, "src dst"],
        n_edges: int,
        targets: list[float],
        steps: int,
        seed: int,
    ) -> TargetedMasks:
        """The masks of these targets before a training of so many steps."""
        return TargetedMasks(
            subgraph,
            n_edges,
            targets,
            SparsitySchedule(steps, self.warm_up_steps, self.ramp_steps, self.ramp),
            component_masks=self.component_masks,
            component_target=self.component_target,
            learning_rate=self.learning_rate,
            multiplier_learning_rate=self.multiplier_learning_rate,
            weight_decay=self.weight_decay,
            initial_log_alpha=self.initial_log_alpha,
            seed=seed,
        )

"""Uniform gradient sampling (Li & Janson 2024, arXiv 2409.09951, section 3 and appendix F).

Every edge has a logit; its mask is drawn from {0, 1} or uniformly between, with a window around
the edge's probability that closes as the edge is decided. The gradient in a mask value inside the
window estimates, by the fundamental theorem of calculus, what the edge is worth, and only such
draws are used. The loss is the mean loss gap plus a price `lambda` on the expected number of
edges. A grid of prices is trained side by side, each with its own masks and constants, on the same
prompts and random numbers; so a price gives the same circuit whatever the rest of the grid is.

A mask row serves all prompts of a step (the authors draw one for every prompt and row), and the
dangling edges of a row are found from that row alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from benchmark.ablation import Ablation, Counterfactual, Resample
from benchmark.errors import UserError
from benchmark.joint_training import train_masks
from benchmark.mask import EdgeMask, Pruning
from benchmark.method import FoundCircuit, Problem
from benchmark.optimal import Optimal
from methods.circuits.uniform_masks import UniformMasks


@dataclass(frozen=True)
class UGS:
    """Settings of uniform gradient sampling; see conf/method/ugs.yaml."""

    penalties: list[float]
    penalties_at_once: int | None
    masks_per_step: int
    batch_size: int
    steps: int | None
    learning_rate: float | None
    constants_learning_rate: float
    initial_logit: float
    window: float
    node_penalty: float | None
    clip: float
    threshold: float | None
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.penalties or min(self.penalties) < 0:
            raise UserError("method.penalties needs one or more numbers, all 0 or more")
        if len(set(self.penalties)) < len(self.penalties):
            raise UserError("method.penalties names one number twice")
        for name in ("masks_per_step", "batch_size", "penalties_at_once", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"method.{name}={value} must be 1 or more")

    def unsupported(self, problem: Problem) -> str | None:
        """Donors come from a step's own prompts."""
        if isinstance(problem.ablation, Resample) and self.batch_size < 2:
            return "resample ablation takes donors from the step's prompts; give batch_size=2"
        return None

    def discover(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """One circuit per penalty, whatever the sizes asked for; the largest circuit first."""
        penalties = sorted(self.penalties)
        n_at_once = self.penalties_at_once or len(penalties)
        found = []
        for first in range(0, len(penalties), n_at_once):
            found += self._train(problem, penalties[first : first + n_at_once], first)
        return found

    def _train(self, problem: Problem, penalties: list[float], first: int) -> list[FoundCircuit]:
        masks = UniformMasks(
            problem.graph,
            torch.tensor(penalties, device=problem.model.device),
            learning_rates=[self._learning_rate(price, problem.ablation) for price in penalties],
            node_penalties=[self._node_penalty(price) for price in penalties],
            masks_per_step=self.masks_per_step,
            initial_logit=self.initial_logit,
            window=self.window,
            clip=self.clip,
            seed=problem.seed,
        )
        train_masks(
            problem.model,
            masks,
            problem.ablation,
            problem.batches,
            steps=self._steps(problem),
            batch_size=self.batch_size,
            seed=problem.seed,
            constants_learning_rate=self.constants_learning_rate,
            n_sets=len(penalties),
            checkpoint=problem.checkpoint(f"masks {first}"),
            label="ugs",
        )
        keep = (masks.logits > self._threshold(problem.ablation)) & problem.graph.exists.to(
            masks.logits.device
        )
        circuits = (EdgeMask(problem.graph, kept).pruned(Pruning.dangling) for kept in keep.float())
        pairs = zip(circuits, penalties, strict=True)
        return [FoundCircuit(mask, f"lambda={price:g}") for mask, price in pairs]

    def _steps(self, problem: Problem) -> int:
        """The authors' rule, unless a number is set: more under optimal ablation."""
        rule = 6000 if isinstance(problem.ablation, Optimal) else 3000
        return self.steps or problem.training_steps or rule

    def _learning_rate(self, penalty: float, ablation: Ablation) -> float:
        """The authors' rule, unless one is set: slower for large prices and for live donors."""
        if self.learning_rate is not None:
            return self.learning_rate
        rate = 0.15 if penalty <= 1e-4 else 0.10 if penalty <= 5e-4 else 0.05
        slower = {Counterfactual: 5, Resample: 2}.get(type(ablation), 1)
        return rate / slower

    def _node_penalty(self, penalty: float) -> float:
        return min(0.5 * penalty, 2e-4) if self.node_penalty is None else self.node_penalty

    def _threshold(self, ablation: Ablation) -> float:
        """The authors' rule, unless one is set, for logits: stricter under optimal ablation."""
        if self.threshold is not None:
            return self.threshold
        return 0.5 if isinstance(ablation, Optimal) else 0.0

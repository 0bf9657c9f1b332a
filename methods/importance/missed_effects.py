"""How large an effect may still be missed: an upper bound on all nodes that were not verified.

The diagnostic of Kramar et al. (2024, arXiv 2403.00745, section 4.4): the best nodes by AtP* are
verified, and the rest is subsampled together; a Welch test for every node then bounds the effect
that any of them has, if effects are about additive. It bounds magnitudes of mean effects.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.batch import Batch
from benchmark.errors import UserError
from benchmark.meter import metering
from benchmark.method import Problem
from benchmark.node_effects import Mending
from benchmark.seeding import derived_seed
from benchmark.study import Findings
from methods.importance.atp import GradDrop, cannot_estimate, estimated_effects, mending
from methods.importance.node_problem import NodeProblem, NodeSettings
from methods.importance.subsampling import check_probability, drawn
from methods.importance.subsampling_sums import SubsamplingSums
from methods.ranges import check_counts

# With fewer draws hardly any node has been patched twice.
FEWEST_DRAWS = 64
CONFIDENCES = {"bound_90": 0.9, "bound_99": 0.99, "bound_999": 0.999}


@dataclass(frozen=True)
class MissedEffects(NodeSettings):
    """Settings of the diagnostic; see conf/method/missed_effects.yaml."""

    fix_softmax: bool
    grad_drop: GradDrop
    verified: int
    probability: float
    draws: int
    repeats: int
    judge: bool
    kind: ClassVar[str] = "missed_effects"
    version: ClassVar[int] = 1
    cost: ClassVar[str] = "AtP*, one forward for every verified node and every draw"

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "verified", "draws", "repeats")
        check_probability(self.probability)

    def unsupported(self, problem: Problem) -> str | None:
        """What AtP* cannot rank."""
        return cannot_estimate(problem, self._mending) or super().unsupported(problem)

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Rank nodes, verify the best, and bound the rest from ever more draws."""
        asked = NodeProblem.of(problem, self)
        with metering() as judging:
            truth = asked.truth.mean(0).abs() if self.judge else None
        with metering() as cost:
            best = self._best(asked)
            free = torch.ones(len(asked.nodes), dtype=torch.bool)
            free[best] = False
            rows = [
                {"repeat": repeat, **row}
                for repeat in range(self.repeats)
                for row in self._rows(asked, free, derived_seed(problem.seed, "repeat", repeat))
            ]
        table = pd.DataFrame(rows)
        missed = float("nan") if truth is None else float(truth[free].max())
        tensors = {**asked.nodes.description, "verified": (~free).to(torch.uint8)}
        if truth is not None:
            tensors["contribution"] = truth
        last = table[table["draws"] == table["draws"].max()].drop(columns=["repeat", "draws"])
        summary = {"largest_missed": missed, **last.mean().to_dict()}
        table = table.assign(largest_missed=missed)
        return Findings(table, tensors, summary, cost, judging)

    @property
    def _mending(self) -> Mending:
        return mending(self.fix_softmax, self.grad_drop)

    def _best(self, asked: NodeProblem) -> Int[Tensor, " verified"]:
        if not self.verified < len(asked.nodes):
            raise UserError(
                f"method.verified={self.verified} leaves none of {len(asked.nodes):,} nodes to "
                "bound; give a smaller number"
            )
        estimate = asked.contribution(estimated_effects(asked, self._mending))
        return estimate.argsort(descending=True, stable=True)[: self.verified]

    def _rows(self, asked: NodeProblem, free: Tensor, seed: int) -> Iterator[dict[str, float]]:
        """The bounds after ever more draws."""
        sums, before = SubsamplingSums(int(free.sum())), 0
        for number in self._numbers_of_draws():
            more = number - before, derived_seed(seed, "draws", number)
            for _, masks, effects in drawn(asked, free, self.probability, *more):
                sums.add(masks[:, free], effects)
            bounds = sums.bounds(list(CONFIDENCES.values()))
            yield {"draws": number, **dict(zip(CONFIDENCES, bounds, strict=True))}
            before = number

    def _numbers_of_draws(self) -> list[int]:
        """Doubling, up to all of them."""
        numbers = [self.draws]
        while numbers[0] // 2 >= FEWEST_DRAWS:
            numbers.insert(0, numbers[0] // 2)
        return numbers

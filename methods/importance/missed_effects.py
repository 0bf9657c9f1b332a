"""How large an effect may still be missed: an upper bound on all nodes that were not verified.

The diagnostic of Kramar et al. (2024, arXiv 2403.00745, section 4.4): the best nodes by AtP* are
verified, and the rest is subsampled together; a Welch test for every node then bounds the effect
that any of them has, if effects are about additive. It bounds magnitudes of mean effects.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from benchmark.effects.nodes.first_order import AtPVariant, Cut
from benchmark.errors import UserError
from benchmark.meter import metering
from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch
from benchmark.seeds import derived_seed
from methods.importance.atp import cannot_estimate, estimated_effects
from methods.importance.nodes.problem import NodeProblem, NodeSettings
from methods.importance.nodes.sums import SubsamplingSums
from methods.importance.subsampling import check_probability, drawn
from methods.ranges import check_counts

# With fewer draws hardly any node has been patched twice.
FEWEST_FOR_BOUND = 64
CONFIDENCES = {"bound_90": 0.9, "bound_99": 0.99, "bound_999": 0.999}


@dataclass(frozen=True)
class MissedEffects(NodeSettings):
    """Settings of the diagnostic; see conf/method/missed_effects.yaml."""

    fix_softmax: bool
    grad_drop: Cut | None
    verified: int
    probability: float
    draws: int
    repeats: int
    judge: bool
    kind: ClassVar[str] = "missed_effects"
    uses: ClassVar[frozenset[str]] = frozenset({"attribution_metric"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "verified", "draws", "repeats")
        check_probability(self.probability)

    def unsupported(self, problem: Problem) -> str | None:
        """What AtP* cannot rank."""
        return cannot_estimate(problem, self._variant) or super().unsupported(problem)

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Rank nodes, verify the best, and bound the rest from ever more draws."""
        asked = NodeProblem.of(problem, self)
        self._check_nodes_are_left(asked)
        with metering() as judging:
            truth = asked.truth.mean(0).abs() if self.judge else None
        with metering() as cost:
            free = self._free(asked)
            rows = self._rows(asked, free, repeat=0)
        for repeat in range(1, self.repeats):
            rows += self._rows(asked, free, repeat)
        table = pd.DataFrame(rows)
        summary = table.loc[table["draws"] == self.draws, list(CONFIDENCES)].mean().to_dict()
        tensors = {**asked.nodes.description, "verified": (~free).to(torch.uint8)}
        missed = math.nan
        if truth is not None:
            missed = summary["largest_missed"] = float(truth[free].max())
            tensors["contribution"] = truth
        table = table.assign(largest_missed=missed)
        return Findings(table, tensors, summary, cost, judging, _warnings(summary))

    @property
    def _variant(self) -> AtPVariant:
        return AtPVariant(self.fix_softmax, self.grad_drop)

    def _check_nodes_are_left(self, asked: NodeProblem) -> None:
        if not self.verified < len(asked.nodes):
            raise UserError(
                f"method.verified={self.verified} leaves none of {len(asked.nodes):,} nodes to "
                "bound; give a smaller number"
            )

    def _free(self, asked: NodeProblem) -> Bool[Tensor, " nodes"]:
        """The nodes that are not verified: all but the best by AtP*."""
        estimate = asked.contribution(estimated_effects(asked, self._variant))
        best = estimate.argsort(descending=True, stable=True)[: self.verified]
        free = torch.ones(len(asked.nodes), dtype=torch.bool)
        free[best] = False
        return free

    def _rows(self, asked: NodeProblem, free: Tensor, repeat: int) -> list[dict[str, float | int]]:
        """The bounds after ever more draws."""
        seed = derived_seed(asked.problem.seed, "repeat", repeat)
        sums, before, rows = SubsamplingSums(int(free.sum())), 0, []
        for number in self._numbers_of_draws():
            more = number - before, derived_seed(seed, "draws", number)
            for _, masks, effects in drawn(asked, free, self.probability, *more):
                sums.add(masks[:, free], effects)
            bounds = sums.bounds(list(CONFIDENCES.values()))
            named = dict(zip(CONFIDENCES, bounds, strict=True))
            rows.append({"repeat": repeat, "draws": number, **named})
            before = number
        return rows

    def _numbers_of_draws(self) -> list[int]:
        """Doubling, up to all of them."""
        numbers = [self.draws]
        while numbers[0] // 2 >= FEWEST_FOR_BOUND:
            numbers.insert(0, numbers[0] // 2)
        return numbers


def _warnings(bounds: dict[str, float]) -> list[str]:
    if all(map(math.isfinite, bounds.values())):
        return []
    return [
        "bounds are infinite, since some node was patched fewer than twice; give more "
        "method.draws, or a larger method.probability"
    ]

"""Hybrid attribution and pruning (Gu et al. 2025, arXiv 2510.03282).

Edge attribution patching keeps a generous share of edges, so that those which matter only together
survive, and Edge Pruning works on these. Sparsity is that of the full graph, and the target grows
from what attribution left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.method.problem import Problem
from methods.circuits.eap import EAP
from methods.circuits.edge_pruning import EdgePruning
from methods.ranges import check_counts


@dataclass(frozen=True)
class HAP(EdgePruning):
    """Settings of hybrid attribution and pruning; see conf/method/hap.yaml."""

    share: float
    scores_batch_size: int
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "scores_batch_size")
        if not 0 < self.share <= 1:
            raise UserError(f"method.share={self.share} must be above 0 and at most 1")

    @property
    def uses(self) -> frozenset[str]:
        """What either half uses."""
        return super().uses | {"attribution_metric"}

    def unsupported(self, problem: Problem) -> str | None:
        """What either half cannot work on."""
        return super().unsupported(problem) or self._attribution().unsupported(problem)

    def _targets(self, problem: Problem, sizes: Sequence[int]) -> list[float]:
        """Shares of edges to remove, at least those that attribution removes."""
        least = 1 - self._n_survivors(problem) / problem.graph.n_edges
        raised = (max(target, least) for target in super()._targets(problem, sizes))
        return list(dict.fromkeys(raised))

    def _subgraph(self, problem: Problem) -> Bool[Tensor, "src dst"]:
        """The best share of edges, by the absolute values of their scores."""
        scores = self._attribution().scores(problem).absolute()
        return scores.top(self._n_survivors(problem)).keep > 0

    def _n_survivors(self, problem: Problem) -> int:
        return max(1, round(self.share * problem.graph.n_edges))

    def _attribution(self) -> EAP:
        return configured("method", "eap", batch_size=self.scores_batch_size)

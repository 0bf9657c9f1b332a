"""What all estimators of node importance do alike: they are asked, and judged by the truth.

An estimate says how many forward passes are spent when the true contribution of each node is known,
if nodes are verified in the order that the method suggests. The cost of verified recall follows
from that number alone (Kramar et al. 2024, arXiv 2403.00745, section 4.1).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.meter import metering
from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch
from benchmark.seeds import derived_seed
from methods.importance.nodes.problem import NodeProblem, NodeSettings
from methods.importance.nodes.recall import recall_summary, recall_table
from methods.ranges import check_counts, check_not_below_zero

NOT_JUDGED = pd.DataFrame(columns=["repeat", "k", "cost_100", "cost_90", "oracle"], dtype=float)


@dataclass(frozen=True, eq=False)
class Estimate:
    """What an estimator says of nodes.

    Attributes:
        effects: of each pair, signed where the method knows the sign; not a number where it says
            nothing of a pair.
        contribution: what nodes are ranked by.
        spent: forward passes when each node's true contribution is known.
        standard_error: of the contribution, or None where the method knows none.
    """

    effects: Float[Tensor, "pairs nodes"]
    contribution: Float[Tensor, " nodes"]
    spent: Float[Tensor, " nodes"]
    standard_error: Float[Tensor, " nodes"] | None = None


@dataclass(frozen=True)
class NodeEstimator(NodeSettings, ABC):
    """Settings that all estimators have; see conf/method/atp.yaml."""

    repeats: int
    backward_price: float
    judge: bool
    kind: ClassVar[str] = "node_importance"
    uses: ClassVar[frozenset[str]] = frozenset({"attribution_metric"})
    version: ClassVar[int] = 1
    # Whether another seed gives another estimate.
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "repeats")
        check_not_below_zero(self, "backward_price")

    @abstractmethod
    def estimate(self, asked: NodeProblem, seed: int) -> Estimate:
        """Estimate every node's contribution.

        Args:
            asked: the pairs and nodes; methods that measure nodes one by one look at its truth.
            seed: of everything random.
        """

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Estimate, several times if the method is random, and judge by exhaustive patching."""
        asked = NodeProblem.of(problem, self)
        with metering() as cost:
            first = self.estimate(asked, self._seed(problem, 0))
        # What the method has measured itself is its own cost, and judging it takes no more.
        with metering() as judging:
            truth = asked.truth if self.judge else None
        more = range(1, self.repeats if self.random and self.judge else 1)
        estimates = [first, *(self.estimate(asked, self._seed(problem, n)) for n in more)]
        tensors = {
            **asked.nodes.description,
            "effects": first.effects.float(),
            "estimate": first.contribution.float(),
        }
        if first.standard_error is not None:
            tensors["standard_error"] = first.standard_error.float()
        if truth is None:
            return Findings(NOT_JUDGED, tensors, {}, cost, judging)
        spent = torch.stack([estimate.spent for estimate in estimates])
        contribution = asked.contribution(truth)
        tensors |= {"truth": truth, "contribution": contribution, "spent": spent.float()}
        table = recall_table(contribution, spent, asked.n_pairs)
        summary = recall_summary(contribution, spent, asked.n_pairs)
        summary["estimation_passes"] = float(spent.min()) - asked.n_pairs
        return Findings(table, tensors, summary, cost, judging)

    @staticmethod
    def _seed(problem: Problem, repeat: int) -> int:
        return derived_seed(problem.seed, "repeat", repeat)

"""Exhaustive activation patching: every node of every pair, a forward pass each.

It is the truth that all estimators of node importance are judged by; as a method it has spent
everything before it knows anything (Kramar et al. 2024, arXiv 2403.00745, section 2).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from methods.importance.nodes.estimator import Estimate, NodeEstimator
from methods.importance.nodes.problem import NodeProblem


@dataclass(frozen=True)
class ActivationPatching(NodeEstimator):
    """Settings of exhaustive patching; see conf/method/activation_patching.yaml."""

    random: ClassVar[bool] = False

    def estimate(self, asked: NodeProblem, seed: int) -> Estimate:
        """The truth; all of it is there at once, after all passes."""
        effects = asked.truth
        contribution = asked.contribution(effects)
        spent = torch.ones(len(asked.nodes), dtype=torch.float64)
        return Estimate(effects, contribution, asked.n_pairs * (2 + len(asked.nodes)) * spent)

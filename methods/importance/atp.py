"""Attribution patching and AtP* (Kramar et al. 2024, arXiv 2403.00745; Nanda 2023).

With `fix_softmax` and `grad_drop` it is AtP*. The first costs no pass of the model, the second
about half as many backward passes as there are layers; see benchmark/node_effects.py.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.effects.nodes.first_order import AtPVariant, Cut, node_effects
from benchmark.meter import metering
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch
from methods.importance.nodes.estimator import Estimate, NodeEstimator
from methods.importance.nodes.problem import NodeProblem
from methods.importance.nodes.recall import spent_by_ranking
from methods.requirements import flat_at_clean, without_gradient


@dataclass(frozen=True)
class AtP(NodeEstimator):
    """Settings of attribution patching; see conf/method/atp.yaml.

    With `grad_drop` estimates are magnitudes already, which cancel over no pairs even where
    `abs_inside` is false.
    """

    fix_softmax: bool
    grad_drop: Cut | None
    random: ClassVar[bool] = False

    def unsupported(self, problem: Problem) -> str | None:
        """The metric needs a slope at the clean prompts, and a cut other layers to leave."""
        return cannot_estimate(problem, self._variant) or super().unsupported(problem)

    def estimate(self, asked: NodeProblem, seed: int) -> Estimate:
        """One backward pass, or one trunk of them, for each batch of pairs."""
        with metering() as cost:
            effects = estimated_effects(asked, self._variant)
        contribution = asked.contribution(effects)
        passes = cost.forward + self.backward_price * cost.backward
        spent = spent_by_ranking(contribution, passes, asked.n_pairs, seed)
        return Estimate(effects, contribution, spent)

    @property
    def _variant(self) -> AtPVariant:
        return AtPVariant(self.fix_softmax, self.grad_drop)


def cannot_estimate(problem: Problem, variant: AtPVariant) -> str | None:
    """Why gradients cannot estimate effects on this metric in this model, unless they can."""
    if variant.n_cuts(problem.model.shape.n_layers) == 1:
        return "a model of one block has no other to cut; give method.grad_drop=half_layer"
    return without_gradient(problem) or flat_at_clean(problem)


def estimated_effects(asked: NodeProblem, variant: AtPVariant) -> Float[Tensor, "pairs nodes"]:
    """The estimates of all pairs, on the CPU."""
    keep_first, objective = asked.keep_first, asked.objective

    def of_batch(batch: Batch) -> Tensor:
        nodes, model = asked.nodes, asked.model
        return node_effects(model, batch, nodes, objective, variant, keep_first=keep_first)

    return torch.cat([of_batch(batch).cpu() for batch in asked.batches])

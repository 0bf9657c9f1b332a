"""Gradient interaction modifications: EAP with gradients that see through self-repair.

GIM (Edin et al. 2025, arXiv 2505.17630) changes the backward pass in three ways, each of which can
be left out here: the attention softmax is differentiated at a higher temperature, norm scales
count as constants, and the gradient of a product is shared among its factors (a quarter each for
queries and keys, half for values, half for the branches of a gated MLP). With `steps` above one
the gradients are averaged along the path of EAP-IG.
"""

from dataclasses import dataclass

from benchmark.effects.edges.first_order import Effects
from benchmark.errors import UserError
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer.backward_rules import BackwardRules
from benchmark.transformer.weights import AttentionRule
from methods.circuits.scoring.attribution import Attribution
from methods.circuits.scoring.ruled import flat_or_without_path, ruled_effects
from methods.ranges import check_counts


@dataclass(frozen=True)
class GIM(Attribution):
    """Settings of gradient interaction modifications; see conf/method/gim.yaml."""

    steps: int
    temperature: float
    freeze_norms: bool
    share_products: bool

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "steps")
        if not self.temperature > 0:
            raise UserError(f"method.temperature={self.temperature} must be above 0")

    @property
    def rules(self) -> BackwardRules:
        """The three modifications, as far as they are asked for."""
        share = self.share_products
        return BackwardRules(
            freeze_norms=self.freeze_norms,
            activation_by_ratio=False,
            gate_share=0.5 if share else 1.0,
            attention=AttentionRule(
                through_pattern=True,
                temperature=self.temperature,
                query_key_share=0.25 if share else 1.0,
                value_share=0.5 if share else 1.0,
            ),
        )

    def unsupported(self, problem: Problem) -> str | None:
        """One step is a gradient at the clean prompts; more lie between two prompts."""
        return flat_or_without_path(problem, self.steps) or super().unsupported(problem)

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """First-order effects by the rules."""
        return ruled_effects(problem, batch, objective, self.rules, self.steps)

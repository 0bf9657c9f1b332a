"""Relevance patching: EAP with relevance propagation's coefficients for gradients.

RelP (Rezaei Jafari, Eberle, Khakzar & Nanda 2025, arXiv 2508.21258): norm scales count as
constants, an activation's slope is its output over its input, both branches of a gate get half of
the gradient, and, by setting, none passes through attention patterns; then edges into queries and
keys score zero. With `steps` above one the coefficients are averaged along the path of EAP-IG.
"""

from dataclasses import dataclass

from benchmark.effects.edges.first_order import Effects
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer.backward_rules import BackwardRules
from benchmark.transformer.weights import AttentionRule
from methods.circuits.scoring.attribution import Attribution
from methods.circuits.scoring.ruled import flat_or_without_path, ruled_effects
from methods.ranges import check_counts


@dataclass(frozen=True)
class RelP(Attribution):
    """Settings of relevance patching; see conf/method/relp.yaml."""

    steps: int
    through_patterns: bool

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        check_counts(self, "steps")

    @property
    def rules(self) -> BackwardRules:
        """Frozen norms, slopes by ratio, halved gates and, if asked for, frozen patterns."""
        frozen_pattern = AttentionRule(
            through_pattern=False, temperature=1.0, query_key_share=1.0, value_share=1.0
        )
        return BackwardRules(
            freeze_norms=True,
            activation_by_ratio=True,
            gate_share=0.5,
            attention=None if self.through_patterns else frozen_pattern,
        )

    def unsupported(self, problem: Problem) -> str | None:
        """One step is a gradient at the clean prompts; more lie between two prompts."""
        return flat_or_without_path(problem, self.steps) or super().unsupported(problem)

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """First-order effects by the rules."""
        return ruled_effects(problem, batch, objective, self.rules, self.steps)

"""Relevance patching: EAP with relevance propagation's coefficients for gradients.

RelP (Rezaei Jafari, Eberle, Khakzar & Nanda 2025, arXiv 2508.21258): norm scales count as
constants, an activation's slope is its output over its input, both branches of a gate get half of
the gradient, and, by setting, none passes through attention patterns; then edges into queries and
keys score zero. With `steps` above one the coefficients are averaged along the path of EAP-IG.
"""

from dataclasses import dataclass

from benchmark.transformer.backward_rules import BackwardRules
from benchmark.transformer.weights import AttentionRule
from methods.circuits.ruled import RuledAttribution


@dataclass(frozen=True)
class RelP(RuledAttribution):
    """Settings of relevance patching; see conf/method/relp.yaml."""

    through_patterns: bool

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

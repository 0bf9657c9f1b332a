"""Gradient interaction modifications: EAP with gradients that see through self-repair.

GIM (Edin et al. 2025, arXiv 2505.17630) changes the backward pass in three ways, each of which can
be left out here: the attention softmax is differentiated at a higher temperature, norm scales
count as constants, and the gradient of a product is shared among its factors (a quarter each for
queries and keys, half for values, half for the branches of a gated MLP). With `steps` above one
the gradients are averaged along the path of EAP-IG.
"""

from dataclasses import dataclass

from benchmark.errors import UserError
from benchmark.transformer.backward_rules import BackwardRules
from benchmark.transformer.weights import AttentionRule
from methods.circuits.ruled import RuledAttribution


@dataclass(frozen=True)
class GIM(RuledAttribution):
    """Settings of gradient interaction modifications; see conf/method/gim.yaml."""

    temperature: float
    freeze_norms: bool
    share_products: bool

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
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

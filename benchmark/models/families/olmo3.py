"""OLMo 3: OLMo 2 with sliding windows in three of four layers."""

from benchmark.models.families import olmo2
from benchmark.models.families.llama import rotary_by_layer_type, weights_of
from benchmark.models.family import Family
from benchmark.models.parts import Facts, Module
from benchmark.transformer.weights import Weights


def read(model: Module) -> Weights:
    """The weights of an OLMo 3 model."""
    return weights_of(model, olmo2.olmo_layer, rotary=rotary_by_layer_type(model))


def tiny_config(facts: Facts) -> Facts:
    """With a short window in every other layer."""
    n_layers = facts["num_hidden_layers"]
    kinds = [("sliding_attention", "full_attention")[layer % 2] for layer in range(n_layers)]
    return olmo2.tiny_config(facts) | dict(sliding_window=5, layer_types=kinds)


FAMILY = Family(read, tiny_config)

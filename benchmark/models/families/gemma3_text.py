"""Gemma 3: Gemma 2 without soft-caps, with norms on queries and keys and two rotary bases.

Of six layers five see a sliding window and turn by the smaller base.
"""

from dataclasses import replace

from benchmark.errors import UserError
from benchmark.models.families.gemma2 import gemma_layer
from benchmark.models.families.llama import rotary_by_layer_type, weights_of
from benchmark.models.family import Family
from benchmark.models.parts import Facts, Module
from benchmark.transformer.weights import Layer, Weights


def _gemma3_layer(block: Module) -> Layer:
    if block.self_attn.config.use_bidirectional_attention:
        raise UserError("Gemma 3 with use_bidirectional_attention=True is not supported")
    layer = gemma_layer(block)
    # Hugging Face reads attn_logit_softcapping from Gemma 3's config.json and does not use it.
    return replace(layer, attention=replace(layer.attention, softcap=None))


def read(model: Module) -> Weights:
    """The weights of a Gemma 3 model, alone or inside the model that also sees pictures."""
    return weights_of(model, _gemma3_layer, 1.0, rotary_by_layer_type(model))


def tiny_config(facts: Facts) -> Facts:
    """With one key head, heads wider than their share of d_model, and a layer of either kind."""
    n_layers = facts["num_hidden_layers"]
    kinds = [("sliding_attention", "full_attention")[layer % 2] for layer in range(n_layers)]
    rotary = {
        "sliding_attention": dict(rope_type="default", rope_theta=100.0),
        "full_attention": dict(rope_type="linear", factor=4.0, rope_theta=10000.0),
    }
    facts |= dict(num_key_value_heads=1, head_dim=12, query_pre_attn_scalar=10)
    return facts | dict(sliding_window=5, layer_types=kinds, rope_parameters=rotary)


FAMILY = Family(read, tiny_config)

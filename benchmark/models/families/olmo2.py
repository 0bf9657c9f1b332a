"""OLMo 2: no norm before attention and MLP but one behind; queries and keys normed jointly.

So every reader reads the residual stream as it is, and a head's query depends on what the queries
of all heads have read.
"""

from dataclasses import replace

from benchmark.models.families.llama import gated_mlp, llama_attention, post_normed, weights_of
from benchmark.models.family import Family
from benchmark.models.parts import Facts, Module, no_norm, norm_of, two_queries_per_key
from benchmark.transformer.weights import Layer, Weights


def olmo_layer(block: Module) -> Layer:
    """A block with norms behind its attention and its MLP alone."""
    post = norm_of(block.post_attention_layernorm)
    attention = post_normed(llama_attention(block, 0.0), post)
    mlp = gated_mlp(block.mlp, no_norm(attention.W_O), block.self_attn.config.hidden_act)
    return Layer(attention, replace(mlp, post_norm=norm_of(block.post_feedforward_layernorm)))


def read(model: Module) -> Weights:
    """The weights of an OLMo 2 model."""
    return weights_of(model, olmo_layer)


def tiny_config(facts: Facts) -> Facts:
    """With heads wider than their share of d_model."""
    return two_queries_per_key(facts) | dict(head_dim=12)


FAMILY = Family(read, tiny_config)

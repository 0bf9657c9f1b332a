"""A model family: Mistral, which is Llama with a sliding window in every layer."""

from dataclasses import replace

from benchmark.models.families.llama import gated_mlp, llama_attention, weights_of
from benchmark.models.family import Family
from benchmark.models.parts import Facts, Module, norm_of, two_queries_per_key
from benchmark.transformer.weights import Layer, Weights


def _layer(block: Module) -> Layer:
    config = block.self_attn.config
    attention = replace(llama_attention(block, 0.0), window=config.sliding_window)
    norm = norm_of(block.post_attention_layernorm)
    return Layer(attention, gated_mlp(block.mlp, norm, config.hidden_act))


def read(model: Module) -> Weights:
    """The weights of a Mistral model."""
    return weights_of(model, _layer)


def tiny_config(facts: Facts) -> Facts:
    """With a window that short prompts already feel."""
    return two_queries_per_key(facts) | dict(sliding_window=3)


FAMILY = Family(read, tiny_config)

"""Mistral: Llama whose every layer may have the same sliding window."""

from dataclasses import replace

from benchmark.models.families.llama import llama_layer, weights_of
from benchmark.models.family import Family
from benchmark.models.parts import Facts, Module, two_queries_per_key
from benchmark.transformer.weights import Layer, Weights


def _mistral_layer(block: Module) -> Layer:
    layer, window = llama_layer(block), block.self_attn.config.sliding_window
    return replace(layer, attention=replace(layer.attention, window=window))


def read(model: Module) -> Weights:
    """The weights of a Mistral model."""
    return weights_of(model, _mistral_layer)


def tiny_config(facts: Facts) -> Facts:
    """With heads wider than their share of d_model, and a window that short prompts feel."""
    return two_queries_per_key(facts) | dict(head_dim=12, sliding_window=5)


FAMILY = Family(read, tiny_config)

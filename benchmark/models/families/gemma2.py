"""Gemma 2: Llama's outline with post-norms, soft-caps, sliding windows and a query scalar.

Its norms multiply by one plus their weight.
"""

from dataclasses import replace

from benchmark.models.families.llama import gated_mlp, llama_attention, post_normed, weights_of
from benchmark.models.family import Family
from benchmark.models.parts import Facts, Module, norm_of, two_queries_per_key
from benchmark.transformer.weights import Layer, Weights


def gemma_layer(block: Module) -> Layer:
    """A block with norms before and behind its attention and its MLP."""
    post = norm_of(block.post_attention_layernorm, 1.0)
    attention = post_normed(llama_attention(block, 1.0), post)
    mlp = gated_mlp(
        block.mlp,
        norm_of(block.pre_feedforward_layernorm, 1.0),
        block.self_attn.config.hidden_activation,
    )
    return Layer(attention, replace(mlp, post_norm=norm_of(block.post_feedforward_layernorm, 1.0)))


def read(model: Module) -> Weights:
    """The weights of a Gemma 2 model."""
    return weights_of(model, gemma_layer, norm_offset=1.0)


def tiny_config(facts: Facts) -> Facts:
    """With soft-caps, and a sliding window that short prompts already feel."""
    d_head = facts["hidden_size"] // facts["num_attention_heads"]
    facts = two_queries_per_key(facts) | dict(head_dim=d_head)
    facts |= dict(query_pre_attn_scalar=10, sliding_window=5)
    return facts | dict(attn_logit_softcapping=3.0, final_logit_softcapping=8.0)


FAMILY = Family(read, tiny_config)

"""Phi-3: Llama with q, k and v in one weight, gate and up in another, and sliding windows."""

from benchmark.models.families.llama import weights_of
from benchmark.models.family import Family
from benchmark.models.parts import (
    Facts,
    Module,
    activation_of,
    norm_of,
    per_head,
    two_queries_per_key,
)
from benchmark.transformer.weights import Attention, FeedForward, Layer, Weights


def _phi3_layer(block: Module) -> Layer:
    attention, config = block.self_attn, block.self_attn.config
    d_head, n_heads = attention.head_dim, config.num_attention_heads
    W_QKV = per_head(attention.qkv_proj.weight, d_head)
    W_Q, W_K, W_V = W_QKV.split([n_heads, *2 * [config.num_key_value_heads]])
    W_gate, W_in = block.mlp.gate_up_proj.weight.detach().chunk(2)
    return Layer(
        Attention(
            norm=norm_of(block.input_layernorm),
            W_Q=W_Q,
            b_Q=None,
            W_K=W_K,
            b_K=None,
            W_V=W_V,
            b_V=None,
            W_O=attention.o_proj.weight.detach().T.view(n_heads, d_head, -1),
            b_O=None,
            scale=attention.scaling,
            window=config.sliding_window,
        ),
        FeedForward(
            norm=norm_of(block.post_attention_layernorm),
            W_in=W_in.T,
            b_in=None,
            W_out=block.mlp.down_proj.weight.detach().T,
            b_out=None,
            activation=activation_of(config.hidden_act),
            W_gate=W_gate.T,
        ),
    )


def read(model: Module) -> Weights:
    """The weights of a Phi-3 model."""
    return weights_of(model, _phi3_layer)


def tiny_config(facts: Facts) -> Facts:
    """With a window that short prompts feel, and rotary embedding of a part of each head."""
    rotary = dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)
    return two_queries_per_key(facts) | dict(sliding_window=5, rope_parameters=rotary)


FAMILY = Family(read, tiny_config)

"""GPT-2: LayerNorm, learned positions, fused q/k/v weights stored input-first (Conv1D)."""

import torch.nn.functional as F

from benchmark.models.family import Family
from benchmark.models.parts import Facts, Module, activation_of, norm_of, unembedding_of
from benchmark.transformer.weights import Attention, FeedForward, Layer, Weights


def _gpt2_layer(block: Module) -> Layer:
    attention, mlp = block.attn, block.mlp
    heads, d_head, d_model = attention.num_heads, attention.head_dim, attention.embed_dim
    W_QKV = attention.c_attn.weight.detach().view(d_model, 3 * heads, d_head).transpose(0, 1)
    b_QKV = attention.c_attn.bias.detach().view(3 * heads, 1, d_head)
    return Layer(
        Attention(
            norm=norm_of(block.ln_1),
            W_Q=W_QKV[:heads],
            b_Q=b_QKV[:heads],
            W_K=W_QKV[heads : 2 * heads],
            b_K=b_QKV[heads : 2 * heads],
            W_V=W_QKV[2 * heads :],
            b_V=b_QKV[2 * heads :],
            W_O=attention.c_proj.weight.detach().view(heads, d_head, d_model),
            b_O=attention.c_proj.bias.detach(),
            scale=attention.scaling,
        ),
        FeedForward(
            norm=norm_of(block.ln_2),
            W_in=mlp.c_fc.weight.detach(),
            b_in=mlp.c_fc.bias.detach(),
            W_out=mlp.c_proj.weight.detach(),
            b_out=mlp.c_proj.bias.detach(),
            activation=activation_of(block.attn.config.activation_function),
        ),
    )


def read(model: Module) -> Weights:
    """The weights of a GPT-2 model."""
    body = model.transformer
    W_E, W_pos = body.wte.weight.detach(), body.wpe.weight.detach()
    return Weights(
        embed=lambda tokens: F.embedding(tokens, W_E) + W_pos[: tokens.shape[-1]],
        layers=tuple(_gpt2_layer(block) for block in body.h),
        final_norm=norm_of(body.ln_f),
        W_U=unembedding_of(model),
        learned_positions=W_pos,
    )


def tiny_config(facts: Facts) -> Facts:
    """GPT-2 has a name of its own for the width of the MLP."""
    others = {name: value for name, value in facts.items() if name != "intermediate_size"}
    return others | dict(n_inner=facts["intermediate_size"])


FAMILY = Family(read, tiny_config, exact_in_float64=True)

"""GPT-Neo and TinyStories: unscaled attention, no bias of q, k and v, windows in some layers."""

import torch.nn.functional as F

from benchmark.models.family import Family
from benchmark.models.parts import Facts, Module, activation_of, norm_of, per_head, unembedding_of
from benchmark.transformer.weights import Attention, FeedForward, Layer, Weights


def _neo_layer(block: Module) -> Layer:
    attention, mlp = block.attn.attention, block.mlp
    config, d_head = attention.config, attention.head_dim
    return Layer(
        Attention(
            norm=norm_of(block.ln_1),
            W_Q=per_head(attention.q_proj.weight, d_head),
            b_Q=None,
            W_K=per_head(attention.k_proj.weight, d_head),
            b_K=None,
            W_V=per_head(attention.v_proj.weight, d_head),
            b_V=None,
            W_O=attention.out_proj.weight.detach().T.view(-1, d_head, config.hidden_size),
            b_O=attention.out_proj.bias.detach(),
            scale=1.0,
            window=config.window_size if attention.attention_type == "local" else None,
        ),
        FeedForward(
            norm=norm_of(block.ln_2),
            W_in=mlp.c_fc.weight.detach().T,
            b_in=mlp.c_fc.bias.detach(),
            W_out=mlp.c_proj.weight.detach().T,
            b_out=mlp.c_proj.bias.detach(),
            activation=activation_of(config.activation_function),
        ),
    )


def read(model: Module) -> Weights:
    """The weights of a GPT-Neo model."""
    body = model.transformer
    W_E, W_pos = body.wte.weight.detach(), body.wpe.weight.detach()
    return Weights(
        embed=lambda tokens: F.embedding(tokens, W_E) + W_pos[: tokens.shape[-1]],
        layers=tuple(_neo_layer(block) for block in body.h),
        final_norm=norm_of(body.ln_f),
        learned_positions=W_pos,
        W_U=unembedding_of(model),
    )


def tiny_config(facts: Facts) -> Facts:
    """With a window that short prompts feel in every other layer."""
    kinds = [[[("global", "local")[i % 2]], 1] for i in range(facts["num_hidden_layers"])]
    return facts | dict(attention_types=kinds, window_size=5)


FAMILY = Family(read, tiny_config)

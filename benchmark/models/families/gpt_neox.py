"""GPT-NeoX and Pythia: parallel blocks, partial rotary embedding, q/k/v interleaved per head."""

import torch.nn.functional as F

from benchmark.models.family import Family
from benchmark.models.parts import (
    Config,
    Facts,
    Module,
    activation_of,
    detached,
    norm_of,
    unembedding_of,
)
from benchmark.transformer.weights import Attention, FeedForward, Layer, Rotary, Weights


def _neox_layer(block: Module, rotary: Rotary) -> Layer:
    attention, mlp = block.attention, block.mlp
    d_head, d_model = attention.head_size, attention.dense.weight.shape[0]
    # The fused weight interleaves per head: [heads, (q, k, v), d_head].
    fused = attention.query_key_value
    W_QKV = fused.weight.detach().view(-1, 3, d_head, d_model).permute(1, 0, 3, 2)
    b_QKV = (None, None, None)
    if fused.bias is not None:
        b_QKV = fused.bias.detach().view(-1, 3, 1, d_head).unbind(1)
    return Layer(
        Attention(
            norm=norm_of(block.input_layernorm),
            W_Q=W_QKV[0],
            b_Q=b_QKV[0],
            W_K=W_QKV[1],
            b_K=b_QKV[1],
            W_V=W_QKV[2],
            b_V=b_QKV[2],
            W_O=attention.dense.weight.detach().T.view(-1, d_head, d_model),
            b_O=detached(attention.dense.bias),
            scale=attention.scaling,
            rotary=rotary,
        ),
        FeedForward(
            norm=norm_of(block.post_attention_layernorm),
            W_in=mlp.dense_h_to_4h.weight.detach().T,
            b_in=mlp.dense_h_to_4h.bias.detach(),
            W_out=mlp.dense_4h_to_h.weight.detach().T,
            b_out=mlp.dense_4h_to_h.bias.detach(),
            activation=activation_of(attention.config.hidden_act),
        ),
    )


def read(model: Module) -> Weights:
    """The weights of a GPT-NeoX model."""
    body = model.gpt_neox
    W_E = body.embed_in.weight.detach()
    return Weights(
        embed=lambda tokens: F.embedding(tokens, W_E),
        layers=tuple(_neox_layer(block, body.rotary_emb) for block in body.layers),
        final_norm=norm_of(body.final_layer_norm),
        W_U=unembedding_of(model),
    )


def tiny_config(facts: Facts) -> Facts:
    """A quarter of the dimensions is rotary by default."""
    return facts


def parallel(config: Config) -> bool:
    """Pythia's blocks are; some of GPT-NeoX's are not."""
    return config.use_parallel_residual


FAMILY = Family(read, tiny_config, parallel, exact_in_float64=True)

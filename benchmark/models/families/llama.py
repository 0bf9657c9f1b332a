"""Llama 3, Qwen 2 and Qwen 3: RMSNorm, rotary embedding, grouped-query attention, gated MLP.

Qwen 2 adds biases to q, k and v, Qwen 3 norms on each head's q and k; both show in the modules.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmark.errors import UserError
from benchmark.models.family import Family
from benchmark.models.parts import (
    Module,
    activation_of,
    detached,
    head_bias,
    no_norm,
    norm_of,
    per_head,
    two_queries_per_key,
    unembedding_of,
)
from benchmark.transformer.weights import (
    Attention,
    FeedForward,
    JointNorm,
    Layer,
    Norm,
    Rotary,
    Weights,
)


def llama_attention(block: Module, norm_offset: float) -> Attention:
    """A block's attention; the family's norms multiply by their weight plus `norm_offset`.

    A block without a norm before it reads the residual stream as it is.
    """
    attention = block.self_attn
    d_head, d_model = attention.head_dim, attention.q_proj.weight.shape[1]
    q, k, v, o = attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj
    norm = getattr(block, "input_layernorm", None)
    return Attention(
        norm=no_norm(q.weight) if norm is None else norm_of(norm, norm_offset),
        W_Q=per_head(q.weight, d_head),
        b_Q=head_bias(q.bias, d_head),
        W_K=per_head(k.weight, d_head),
        b_K=head_bias(k.bias, d_head),
        W_V=per_head(v.weight, d_head),
        b_V=head_bias(v.bias, d_head),
        W_O=o.weight.detach().T.view(-1, d_head, d_model),
        b_O=detached(o.bias),
        scale=attention.scaling,
        softcap=getattr(attention, "attn_logit_softcapping", None),
        window=getattr(attention, "sliding_window", None),
        q_norm=_norm_of_heads(getattr(attention, "q_norm", None), q, d_head, norm_offset),
        k_norm=_norm_of_heads(getattr(attention, "k_norm", None), k, d_head, norm_offset),
    )


def _norm_of_heads(
    module: Module | None, projection: Module, d_head: int, offset: float
) -> Norm | JointNorm | None:
    """The norm on queries or keys: of each head by itself, or of all jointly."""
    if module is None:
        return None
    norm = norm_of(module, offset)
    if len(norm.weight) == d_head:
        return norm
    if norm.centred or len(norm.weight) != len(projection.weight):
        raise UserError(
            f"a norm on queries or keys with {len(norm.weight)} weights is not supported; heads "
            f"of {d_head} may have {d_head} weights for all or {len(projection.weight)} jointly"
        )
    return JointNorm(norm.weight.view(-1, 1, 1, 1, d_head), norm.eps)


def post_normed(attention: Attention, norm: Norm) -> Attention:
    """Attention with a norm behind it; its gain goes into W_O."""
    if attention.b_O is not None:
        raise UserError("attention_bias=True with a norm behind attention is not supported")
    W_O = attention.W_O
    gained = W_O * norm.weight.to(W_O.dtype)
    return replace(attention, W_O=gained, W_O_before_norm=W_O, post_norm_eps=norm.eps)


def gated_mlp(mlp: Module, norm: Norm, activation: str) -> FeedForward:
    """An MLP whose hidden layer is gated by a second projection."""
    return FeedForward(
        norm=norm,
        W_in=mlp.up_proj.weight.detach().T,
        b_in=detached(mlp.up_proj.bias),
        W_out=mlp.down_proj.weight.detach().T,
        b_out=detached(mlp.down_proj.bias),
        activation=activation_of(activation),
        W_gate=mlp.gate_proj.weight.detach().T,
        b_gate=detached(mlp.gate_proj.bias),
    )


def llama_layer(block: Module) -> Layer:
    """A block with norms before its attention and before its MLP."""
    norm = norm_of(block.post_attention_layernorm)
    activation = block.self_attn.config.hidden_act
    return Layer(llama_attention(block, 0.0), gated_mlp(block.mlp, norm, activation))


def body_of(model: Module) -> Module:
    """The embedding, blocks and final norm, also of a model that sees pictures beside text."""
    return getattr(model.model, "language_model", model.model)


def weights_of(
    model: Module,
    layer: Callable[[Module], Layer],
    norm_offset: float = 0.0,
    rotary: Callable[[Module], Rotary | None] | None = None,
) -> Weights:
    """All weights of a model with Llama's outline.

    Args:
        model: the Hugging Face model.
        layer: how one of its blocks is read, but for its rotary embedding.
        norm_offset: what the final norm adds to its weight.
        rotary: the rotary embedding of a block; by default all share the model's.
    """
    body = body_of(model)
    rotary_of = rotary or (lambda _: body.rotary_emb)

    def turned(block: Module) -> Layer:
        read = layer(block)
        return replace(read, attention=replace(read.attention, rotary=rotary_of(block)))

    return Weights(
        embed=body.embed_tokens,
        layers=tuple(turned(block) for block in body.layers),
        final_norm=norm_of(body.norm, norm_offset),
        W_U=unembedding_of(model),
        final_softcap=getattr(body.config, "final_logit_softcapping", None),
    )


def rotary_by_layer_type(model: Module) -> Callable[[Module], Rotary]:
    """The rotary embedding of a block where layers with and without a window have their own."""
    body = body_of(model)
    types = set(body.config.layer_types)
    tables = {kind: partial(body.rotary_emb, layer_type=kind) for kind in types}
    return lambda block: tables[body.config.layer_types[block.self_attn.layer_idx]]


def read(model: Module) -> Weights:
    """The weights of a Llama, Qwen 2 or Qwen 3 model."""
    return weights_of(model, llama_layer)


FAMILY = Family(read, two_queries_per_key)

"""Reading the parts that families share: norms, activations, per-head views of weights."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.transformer.weights import NoNorm, Norm, stream_dtype

# Configurations and modules of Hugging Face are duck-typed: each family has classes of its own.
Config = Any
Module = Any
# Arguments of a configuration.
Facts = dict[str, Any]


def two_queries_per_key(facts: Facts) -> Facts:
    """Grouped-query attention with two query heads on each key head."""
    return facts | dict(num_key_value_heads=facts["num_attention_heads"] // 2)


def activation_of(name: str) -> Callable[[Tensor], Tensor]:
    """The activation function that Hugging Face calls `name`."""
    # Hugging Face composes tanh-GELU from elementwise steps; the fused kernel is the same function.
    if name in ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"):
        return lambda x: F.gelu(x, approximate="tanh")
    # This import takes seconds, and only a loaded model needs it.
    from transformers.activations import ACT2FN

    return ACT2FN[name]


def norm_of(module: Module, offset: float = 0.0) -> Norm:
    """A norm, its weight plus `offset` as gain, in the stream's precision."""
    eps = getattr(module, "variance_epsilon", None) or module.eps
    bias = getattr(module, "bias", None)
    dtype = stream_dtype(module.weight.dtype)
    return Norm(
        weight=module.weight.detach().to(dtype) + offset,
        bias=None if bias is None else bias.detach().to(dtype),
        eps=float(eps),
        centred=isinstance(module, torch.nn.LayerNorm),
    )


def no_norm(weight: Tensor) -> Norm:
    """The norm of a reader that has none, in the stream's precision of a model with `weight`."""
    ones = torch.ones(1, dtype=stream_dtype(weight.dtype), device=weight.device)
    return NoNorm(weight=ones, bias=None, eps=0.0, centred=False)


def unembedding_of(model: Module) -> Float[Tensor, "d_model d_vocab"]:
    """The unembedding, a view.

    Raises:
        UserError: it has a bias.
    """
    head = model.get_output_embeddings()
    if head.bias is not None:
        raise UserError("a bias in the unembedding is not supported")
    return head.weight.detach().T


def per_head(
    weight: Float[Tensor, "heads_d_head d_model"], d_head: int
) -> Float[Tensor, "heads d_model d_head"]:
    """A Linear weight as one matrix per head, a view."""
    return weight.detach().view(-1, d_head, weight.shape[1]).transpose(1, 2)


def head_bias(bias: Tensor | None, d_head: int) -> Tensor | None:
    """A bias [heads * d_head] as [heads, 1, d_head]."""
    return None if bias is None else bias.detach().view(-1, 1, d_head)


def detached(parameter: Tensor | None) -> Tensor | None:
    """A parameter without gradient, if it is there."""
    return None if parameter is None else parameter.detach()

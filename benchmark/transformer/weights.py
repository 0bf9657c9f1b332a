"""What a transformer is made of, whatever its family: plain tensors and a few facts.

The forward pass reads only these classes. Weight matrices are laid out per head, as in the
circuits literature (W_Q, W_K, W_V, W_O), and are views of the Hugging Face parameters wherever
the layout allows, so that a model is in memory once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Norm:
    """LayerNorm (`centred`) or RMSNorm over the last axis, applied in the stream's precision."""

    weight: Float[Tensor, " d"]
    bias: Float[Tensor, " d"] | None
    eps: float
    centred: bool

    @property
    def only_scales(self) -> bool:
        """Whether it commutes with a projection: an RMSNorm in full precision, with its gradient.

        Then its weight may go into the projection's, and its scale to what comes out.
        """
        full_precision = self.weight.dtype in (torch.float32, torch.float64)
        return type(self) is Norm and not self.centred and full_precision

    def scale(self, x: Float[Tensor, "*any d"]) -> Float[Tensor, "*any 1"]:
        """One over the root mean square of what is not centred."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return torch.rsqrt(length.square() / x.shape[-1] + self.eps)

    def __call__(self, x: Float[Tensor, "*any d"]) -> Float[Tensor, "*any d"]:
        """Normalise `x` over its last axis."""
        x, size = x.to(self.weight.dtype), self.weight.shape
        if self.centred:
            return F.layer_norm(x, size, self.weight, self.bias, self.eps)
        return F.rms_norm(x, size, self.weight, self.eps)

    def pull_back(
        self, x: Float[Tensor, "*rows d"], gradient: Float[Tensor, "*more d"]
    ) -> Float[Tensor, "*more d"]:
        """Turn gradients after the norm, in place, into those before it; `x` is its input there."""
        x = x.to(gradient.dtype)
        if self.centred:
            x = x - x.mean(-1, keepdim=True)
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        gradient.mul_(self.weight)
        self._project_out(x * scale, gradient)
        return gradient.mul_(scale)

    def _project_out(self, x: Tensor, gradient: Tensor) -> None:
        """Take from a gradient, in place, what the norm does not let through at normalised `x`."""
        along = torch.linalg.vecdot(gradient, x)[..., None] / x.shape[-1]
        if self.centred:
            gradient.sub_(gradient.mean(-1, keepdim=True))
        gradient.addcmul_(x, along, value=-1)


@dataclass(frozen=True)
class NoNorm(Norm):
    """What reads the residual stream as it is; of `weight` only the precision counts."""

    def __call__(self, x: Float[Tensor, "*any d"]) -> Float[Tensor, "*any d"]:
        """The same `x`."""
        return x.to(self.weight.dtype)

    def pull_back(
        self, x: Float[Tensor, "*rows d"], gradient: Float[Tensor, "*more d"]
    ) -> Float[Tensor, "*more d"]:
        """The same gradient."""
        return gradient


@dataclass(frozen=True)
class JointNorm:
    """RMSNorm over the queries, or the keys, of all heads together.

    So a head's query depends on what every head's query has read. Where query heads of a group
    have keys of their own, the mean square is over those of all query heads, which is the same
    number where groups share them. `has_gradient` changes the backward pass alone.
    """

    weight: Float[Tensor, "heads 1 1 1 d_head"]
    eps: float
    has_gradient: bool = True

    def __call__(
        self, x: Float[Tensor, "more_heads masks batch pos d_head"]
    ) -> Float[Tensor, "more_heads masks batch pos d_head"]:
        """Normalise over heads and coordinates."""
        weight = self.weight.repeat_interleave(len(x) // len(self.weight), dim=0)
        x = x.to(weight.dtype)
        scale = torch.rsqrt(x.square().mean((0, -1), keepdim=True) + self.eps)
        return x * (scale if self.has_gradient else scale.detach()) * weight


Projection = tuple[Tensor, Tensor | None]
# From any tensor of the wanted dtype and device and the positions [1, pos] to cosines and sines.
Rotary = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class AttentionRule:
    """How gradients pass through attention, where not as the derivative says.

    Attributes:
        through_pattern: whether any passes through the attention pattern, to queries and keys.
        temperature: of the softmax whose derivative is taken; the forward pass has 1.
        query_key_share: factor of the gradients of queries and keys.
        value_share: factor of the gradients of values.
    """

    through_pattern: bool
    temperature: float
    query_key_share: float
    value_share: float


@dataclass(frozen=True)
class Attention:
    """One attention block. Keys and values may have fewer heads than queries (GQA).

    `W_O` writes into the residual stream; in a family with
    post-norms (Gemma, OLMo) it already carries the post-norm's gain, and `post_norm_eps` is set:
    the head's activation is then divided by the root mean square of the block's summed output.
    `window` counts the positions a query sees, itself included. `rotary` is None where queries
    and keys are not turned; layers whose tables are the same share one object. `rule` and
    `post_norm_has_gradient` change the backward pass alone (backward_rules.py).
    """

    norm: Norm
    W_Q: Float[Tensor, "heads d_model d_head"]
    b_Q: Float[Tensor, "heads 1 d_head"] | None
    W_K: Float[Tensor, "kv_heads d_model d_head"]
    b_K: Float[Tensor, "kv_heads 1 d_head"] | None
    W_V: Float[Tensor, "kv_heads d_model d_head"]
    b_V: Float[Tensor, "kv_heads 1 d_head"] | None
    W_O: Float[Tensor, "heads d_head d_model"]
    b_O: Float[Tensor, " d_model"] | None
    scale: float
    softcap: float | None = None
    window: int | None = None
    rotary: Rotary | None = None
    q_norm: Norm | JointNorm | None = None
    k_norm: Norm | JointNorm | None = None
    post_norm_eps: float | None = None
    W_O_before_norm: Float[Tensor, "heads d_head d_model"] | None = None
    post_norm_has_gradient: bool = True
    rule: AttentionRule | None = None

    @property
    def projections(self) -> tuple[Projection, Projection, Projection]:
        """Weight and bias of queries, keys and values."""
        return (self.W_Q, self.b_Q), (self.W_K, self.b_K), (self.W_V, self.b_V)

    @property
    def joint(self) -> bool:
        """Whether a head's queries and keys depend on what other heads read."""
        return isinstance(self.q_norm, JointNorm) or isinstance(self.k_norm, JointNorm)


@dataclass(frozen=True)
class FeedForward:
    """One MLP block, gated when `W_gate` is given. Its output includes its bias and post-norm.

    `gate_share` is a factor of the gradient of both branches of the gate.
    """

    norm: Norm
    W_in: Float[Tensor, "d_model d_mlp"]
    b_in: Float[Tensor, " d_mlp"] | None
    W_out: Float[Tensor, "d_mlp d_model"]
    b_out: Float[Tensor, " d_model"] | None
    activation: Callable[[Tensor], Tensor]
    W_gate: Float[Tensor, "d_model d_mlp"] | None = None
    b_gate: Float[Tensor, " d_mlp"] | None = None
    post_norm: Norm | None = None
    gate_share: float = 1.0


@dataclass(frozen=True)
class Layer:
    """One transformer block."""

    attention: Attention
    mlp: FeedForward


@dataclass(frozen=True)
class Weights:
    """A whole model: embedding, layers, final norm and unembedding.

    `embed` maps tokens to the residual stream before layer 0 (token embedding, its scale and
    learned positions included). `learned_positions` is what it adds at each position, whatever the
    token, or None if it adds nothing.
    """

    embed: Callable[[Int[Tensor, "rows pos"]], Float[Tensor, "rows pos d_model"]]
    layers: tuple[Layer, ...]
    final_norm: Norm
    W_U: Float[Tensor, "d_model d_vocab"]
    final_softcap: float | None = None
    learned_positions: Float[Tensor, "positions d_model"] | None = None


def stream_dtype(weight_dtype: torch.dtype) -> torch.dtype:
    """The precision of the residual stream and of all scores: at least float32."""
    return torch.promote_types(weight_dtype, torch.float32)

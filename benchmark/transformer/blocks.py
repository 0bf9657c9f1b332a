"""Attention and MLP blocks as pure functions of their inputs.

All activations are [readers, masks, batch, pos, d]. A block input with one reader is shared by
all heads; with as many readers as heads, each head sees an input of its own. The work is the
same: a head's projection only ever uses its own slice of the weights.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.transformer.backward_rules import scaled_gradient, softmax_with_gradient_at
from benchmark.transformer.kernels import is_short, one_per_query_head, short_attention
from benchmark.transformer.sites import AtSite, Site, untouched
from benchmark.transformer.weights import Attention, FeedForward, JointNorm, Norm, Rotary

Activations = Float[Tensor, "readers masks batch pos d"]
Tables = tuple[Float[Tensor, "*rows d_rotary"], Float[Tensor, "*rows d_rotary"]]


class Positions:
    """What attention needs to know of positions: rotary tables and who sees whom.

    Before `focus` queries stand at every position; after it only at each prompt's `read_at`.
    """

    def __init__(self, n_positions: int, dtype: torch.dtype, device: torch.device) -> None:
        self._keys = torch.arange(n_positions, device=device)
        self._like = torch.empty(0, dtype=dtype, device=device)
        self._tables: dict[Rotary, Tables] = {}
        self.read_at: Int[Tensor, "batch reads"] | None = None

    def focus(self, read_at: Int[Tensor, "batch reads"]) -> None:
        """Leave only the queries at `read_at`."""
        self.read_at = read_at

    def of_keys(self, rotary: Rotary) -> Tables:
        """Cosines and sines [pos, d_rotary], computed once however many layers share them."""
        if rotary not in self._tables:
            cos, sin = rotary(self._like, self._keys[None])
            self._tables[rotary] = cos[0], sin[0]
        return self._tables[rotary]

    def of_queries(self, rotary: Rotary) -> Tables:
        """The same at the query positions: [pos, d_rotary] or [batch, reads, d_rotary]."""
        cos, sin = self.of_keys(rotary)
        return (cos, sin) if self.read_at is None else (cos[self.read_at], sin[self.read_at])

    def visible(self, window: int | None) -> Bool[Tensor, "*batch queries pos"] | None:
        """Which keys a query sees; None stands for plain causal attention."""
        if self.read_at is None and (window is None or window >= len(self._keys)):
            return None
        return self._visible(window)

    def visible_or_causal(self, visible: Tensor | None) -> Tensor:
        """`visible`, with plain causal attention spelled out."""
        return self._visible(None) if visible is None else visible

    def _visible(self, window: int | None) -> Tensor:
        queries = (self._keys if self.read_at is None else self.read_at)[..., None]
        visible = self._keys <= queries
        return visible if window is None else visible & (self._keys > queries - window)


def attention(
    block: Attention,
    q: Float[Tensor, "heads masks batch queries d_head"],
    k: Float[Tensor, "kv_heads masks batch pos d_head"],
    v: Float[Tensor, "kv_heads masks batch pos d_head"],
    positions: Positions,
    at: AtSite = untouched,
) -> Float[Tensor, "heads rows batch queries d_head"]:
    """Each head's activation before W_O, in the stream's precision.

    Queries may stand at fewer positions than keys and values; keys and values may have fewer heads.
    What `at` makes of queries, keys and values may have more rows than they had.
    """
    dtype = block.norm.weight.dtype
    q, k = queries_and_keys(block, q, k, positions)
    q, k, v = at(Site.q, q), at(Site.k, k), at(Site.v, v)
    n_rows = max(x.shape[1] for x in (q, k, v))
    q, k, v = (x.expand(-1, n_rows, -1, -1, -1) for x in (q, k, v))
    k, v = (one_per_query_head(x, len(q)) for x in (k, v))
    z = at(Site.z, _attend(block, q, k, v, positions).to(dtype))
    return z if block.post_norm_eps is None else _post_normed(block, z)


def queries_and_keys(
    block: Attention,
    q: Float[Tensor, "heads rows batch queries d_head"],
    k: Float[Tensor, "kv_heads more_rows batch pos d_head"],
    positions: Positions,
) -> tuple[Tensor, Tensor]:
    """Projected queries and keys as they enter the product: normalised and rotated."""
    q, k = _qk_normed(q, block.q_norm), _qk_normed(k, block.k_norm)
    if block.rotary is None:
        return q, k
    of_queries, of_keys = positions.of_queries(block.rotary), positions.of_keys(block.rotary)
    return _rotate(q, of_queries), _rotate(k, of_keys)


def mlp(
    block: FeedForward, x: Activations, at: AtSite = untouched
) -> Float[Tensor, "readers rows batch pos d"]:
    """What the MLP writes into the residual stream, in the stream's precision."""
    dtype, x = x.dtype, block.norm(x).to(block.W_in.dtype)
    hidden = F.linear(x, block.W_in.T, block.b_in)
    if block.W_gate is None:
        hidden = block.activation(hidden)
    else:
        hidden = block.activation(F.linear(x, block.W_gate.T, block.b_gate)) * hidden
        hidden = scaled_gradient(hidden, block.gate_share)
    hidden = at(Site.neuron, hidden)
    out = F.linear(hidden, block.W_out.T, block.b_out).to(dtype)
    return out if block.post_norm is None else block.post_norm(out)


def write_heads(
    z: Float[Tensor, "heads *rows d_head"], W_O: Float[Tensor, "heads d_head d_model"]
) -> Float[Tensor, "*rows d_model"]:
    """The sum of all heads' writes, as one matrix product."""
    joined = z.movedim(0, -2).flatten(-2).to(W_O.dtype)
    return (joined @ W_O.reshape(-1, W_O.shape[-1])).to(z.dtype)


def _qk_normed(x: Activations, norm: Norm | JointNorm | None) -> Activations:
    return x if norm is None else norm(x).to(x.dtype)


def _rotate(x: Activations, tables: Tables) -> Activations:
    """Rotary embedding of the first d_rotary dimensions (half-split form); the rest passes."""
    cos, sin = tables
    turned, passed = x.split([cos.shape[-1], x.shape[-1] - cos.shape[-1]], dim=-1)
    first, second = turned.chunk(2, dim=-1)
    # Tables may be more precise than half precision weights.
    turned = (turned * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)
    return torch.cat([turned, passed], dim=-1) if passed.shape[-1] else turned


def _attend(block: Attention, q: Tensor, k: Tensor, v: Tensor, positions: Positions) -> Tensor:
    rows = q.shape[:-1]
    visible = positions.visible(block.window)
    if visible is not None and visible.dim() == 3:
        visible = visible.expand(q.shape[1], *visible.shape).flatten(0, 1)
    q, k, v = (x.flatten(1, 2) for x in (q, k, v))
    if block.softcap is not None or block.rule is not None:
        z = _spelled_out(block, q, k, v, ~positions.visible_or_causal(visible))
    elif is_short(k):
        z = short_attention(q, k, v, positions.visible_or_causal(visible), block.scale)
    else:
        z = F.scaled_dot_product_attention(
            q, k, v, attn_mask=visible, is_causal=visible is None, scale=block.scale
        )
    return z.reshape(*rows, -1)


def _spelled_out(block: Attention, q: Tensor, k: Tensor, v: Tensor, unseen: Tensor) -> Tensor:
    """Attention with all that a family, or a backward rule, may ask for."""
    rule = block.rule
    if rule is not None:
        q, k = (scaled_gradient(x, rule.query_key_share) for x in (q, k))
        v = scaled_gradient(v, rule.value_share)
    scores = q @ k.mT * block.scale
    if block.softcap is not None:
        scores = torch.tanh(scores / block.softcap) * block.softcap
    scores = scores.masked_fill(unseen, -torch.inf)
    if rule is None:
        return scores.softmax(-1) @ v
    pattern = softmax_with_gradient_at(scores, rule.temperature)
    return (pattern if rule.through_pattern else pattern.detach()) @ v


def _post_normed(block: Attention, z: Tensor) -> Tensor:
    """Divide every head's activation by the root mean square of the block's summed output."""
    assert block.W_O_before_norm is not None and block.post_norm_eps is not None
    out = write_heads(z, block.W_O_before_norm)
    out = out if block.post_norm_has_gradient else out.detach()
    scale = torch.rsqrt(out.pow(2).mean(-1, keepdim=True) + block.post_norm_eps)
    return z * scale

"""How patched queries and keys of a layer change its attention weights, and what that is worth."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.transformer.kernels import one_per_query_head
from benchmark.transformer.sites import Site
from benchmark.transformer.weights import Attention


class AttentionChange:
    """The exact change of a layer's attention weights under each patched query and key.

    It is computed once; each gradient then takes one product for each head.
    """

    def __init__(
        self,
        block: Attention,
        clean: dict[Site, Tensor],
        patched: dict[Site, Tensor],
        visible: Bool[Tensor, "queries keys"],
        *,
        keys_together: bool,
    ) -> None:
        """Compute the changes.

        Args:
            block: the attention block.
            clean: queries, keys and values [heads, 1, batch, pos, d_head].
            patched: queries and keys in their place.
            visible: who sees whom.
            keys_together: patch the keys of all positions at once; otherwise each by itself.
        """
        dtype, n_heads = block.norm.weight.dtype, len(clean[Site.q])
        self._per_group = n_heads // len(clean[Site.k])
        q, new_q, k, new_k, self._values = (
            one_per_query_head(values[site], n_heads)[:, 0].to(dtype)
            for site, values in zip(
                (Site.q, Site.q, Site.k, Site.k, Site.v),
                (clean, patched, clean, patched, clean),
                strict=True,
            )
        )
        scores, of_queries, of_keys = (
            attention_scores(*pair, block.scale, block.softcap)
            for pair in ((q, k), (new_q, k), (q, new_k))
        )
        self._keys = None if keys_together else PatchedKeys(scores, of_keys, visible)
        weights = softmax_of(scores, visible) if self._keys is None else self._keys.weights
        self._of_queries = softmax_of(of_queries, visible) - weights
        if self._keys is None:
            self._of_all_keys = softmax_of(of_keys, visible) - weights

    def of_heads(
        self, gradient: Float[Tensor, "heads 1 batch queries d_head"]
    ) -> tuple[Float[Tensor, "heads batch queries"], Float[Tensor, "heads batch some_pos"]]:
        """Effects of queries and keys for each query head, from the gradient at its output."""
        of_weights = gradient[:, 0] @ self._values.mT
        queries = (self._of_queries * of_weights).sum(-1)
        if self._keys is not None:
            return queries, self._keys.effects(of_weights)
        return queries, (self._of_all_keys * of_weights).sum((-1, -2))[..., None]

    def effects(
        self, gradient: Float[Tensor, "heads 1 batch queries d_head"]
    ) -> dict[Site, Float[Tensor, "batch units some_pos"]]:
        """Effects of queries and keys as nodes; a key counts for all query heads that share it."""
        queries, keys = self.of_heads(gradient)
        keys = keys.unflatten(0, (-1, self._per_group)).sum(1)
        return {Site.q: queries.transpose(0, 1), Site.k: keys.transpose(0, 1)}


Rows = Float[Tensor, "heads batch queries keys"]
# Below all logits, and finite.
LEAST = -1e30


def attention_scores(
    q: Float[Tensor, "heads batch queries d_head"],
    k: Float[Tensor, "heads batch keys d_head"],
    scale: float,
    softcap: float | None,
) -> Rows:
    """Logits of attention, before masking."""
    scores = q @ k.mT * scale
    return scores if softcap is None else torch.tanh(scores / softcap) * softcap


def softmax_of(scores: Rows, visible: Bool[Tensor, "*batch queries keys"]) -> Rows:
    """Attention weights."""
    return scores.masked_fill(~visible, -torch.inf).softmax(-1)


class PatchedKeys:
    """How far each row of attention moves when one key is patched, for all keys at once.

    Attributes:
        weights: the clean attention weights.
    """

    def __init__(
        self, scores: Rows, patched: Rows, visible: Bool[Tensor, "*batch queries keys"]
    ) -> None:
        """Compute the changes of the weights.

        Args:
            scores: clean queries against clean keys.
            patched: clean queries against patched keys.
            visible: who sees whom.
        """
        masked = scores.masked_fill(~visible, -torch.inf)
        log_weights = masked.log_softmax(-1)
        self.weights = log_weights.exp()
        self._likeliest = self.weights.argmax(-1, keepdim=True)
        # Only the likeliest key may have so large a weight that 1 minus it loses digits.
        without = masked.scatter(-1, self._likeliest, -torch.inf)
        log_others = without.logsumexp(-1, keepdim=True)
        # A query that sees one key alone has no others; what they would weigh never counts.
        self._others = (without - log_others.clamp(min=LEAST)).exp()
        log_total = (masked - log_weights).gather(-1, self._likeliest)
        rest = (1 - self.weights).scatter(-1, self._likeliest, 1.0)
        log_rest = rest.log().scatter(-1, self._likeliest, log_others - log_total)
        x, delta = log_weights - log_rest, (patched - scores).masked_fill(~visible, 0.0)
        y = x + delta
        size = torch.maximum(x, y).sigmoid() * (-torch.minimum(x, y)).sigmoid()
        change = size * torch.expm1(-delta.abs()) * -delta.sign()
        self._per_gradient = change / rest

    def effects(self, gradient: Rows) -> Float[Tensor, "heads batch keys"]:
        """The first-order effect behind the softmax of each key, over all queries that see it."""
        others = (self._others * gradient).sum(-1, keepdim=True)
        above_mean = gradient - (self.weights * gradient).sum(-1, keepdim=True)
        of_likeliest = gradient.gather(-1, self._likeliest) - others
        against = above_mean.scatter(-1, self._likeliest, of_likeliest)
        return (self._per_gradient * against).sum(-2)

"""How patched queries and keys of a layer change its attention weights, and what that is worth."""

from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.kernels import one_per_query_head
from benchmark.sites import Site
from benchmark.softmax_fix import PatchedKeys, attention_scores, softmax_of
from benchmark.weights import Attention


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

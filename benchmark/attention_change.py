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
        sites: dict[Site, Tensor],
        differences: dict[Site, Tensor],
        visible: Bool[Tensor, "queries keys"],
        *,
        keys_together: bool,
    ) -> None:
        """Compute the changes.

        Args:
            block: the attention block.
            sites: its clean activations [heads, 1, batch, pos, d_head].
            differences: corrupted minus clean ones.
            visible: who sees whom.
            keys_together: patch the keys of all positions at once; otherwise each by itself.
        """
        dtype = block.norm.weight.dtype
        n_heads = len(sites[Site.q])
        self._per_group = n_heads // len(sites[Site.k])
        q, dq = (x[Site.q][:, 0].to(dtype) for x in (sites, differences))
        k, dk, v = (
            one_per_query_head(x, n_heads)[:, 0].to(dtype)
            for x in (sites[Site.k], differences[Site.k], sites[Site.v])
        )
        clean, of_queries, of_keys = (
            attention_scores(*pair, block.scale, block.softcap)
            for pair in ((q, k), (q + dq, k), (q, k + dk))
        )
        weights = softmax_of(clean, visible)
        self._values, self._of_queries = v, softmax_of(of_queries, visible) - weights
        self._of_keys = (
            softmax_of(of_keys, visible) - weights
            if keys_together
            else PatchedKeys(clean, of_keys, visible)
        )

    def effects(
        self, gradient: Float[Tensor, "heads 1 batch queries d_head"]
    ) -> dict[Site, Float[Tensor, "batch units some_pos"]]:
        """Effects of queries and keys, from the gradient at the heads' outputs."""
        of_weights = gradient[:, 0] @ self._values.mT
        queries = (self._of_queries * of_weights).sum(-1)
        if isinstance(self._of_keys, PatchedKeys):
            keys = self._of_keys.effects(of_weights)
        else:
            keys = (self._of_keys * of_weights).sum((-1, -2))[..., None]
        keys = keys.unflatten(0, (-1, self._per_group)).sum(1)
        return {Site.q: queries.transpose(0, 1), Site.k: keys.transpose(0, 1)}

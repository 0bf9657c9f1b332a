"""What patching a query or a key does to attention weights, exactly.

A saturated softmax has almost no slope, so a gradient misjudges queries and keys. Here the softmax
is computed anew for the patched query or key, and only what comes behind the attention weights is
taken to first order (Kramar et al. 2024, arXiv 2403.00745, section 3.1.1).

A patched key changes one logit of each query's row, by delta. The weights of the other keys keep
their proportions, so the row's effect is (a' - a)(g - g_others): the change of the key's own weight
a times the gradient g at it, less the others' mean gradient. With x = log(a / (1 - a)) the new
weight is sigmoid(x + delta), and

    a' - a = sigmoid(x + delta) sigmoid(-x) (1 - exp(-delta))    for delta > 0, and
             sigmoid(x) sigmoid(-x - delta) (exp(delta) - 1)     otherwise,

which loses no digits wherever the weights are saturated. All keys take O(T^2) for a head.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Rows = Float[Tensor, "heads batch queries keys"]


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
    """How far each row of attention moves when one key is patched, for all keys at once."""

    def __init__(
        self, scores: Rows, patched: Rows, visible: Bool[Tensor, "*batch queries keys"]
    ) -> None:
        """Compute the changes of the weights.

        Args:
            scores: clean queries against clean keys.
            patched: clean queries against patched keys.
            visible: who sees whom.
        """
        self._weights = softmax_of(scores, visible)
        self._likeliest = self._weights.argmax(-1, keepdim=True)
        masked = scores.masked_fill(~visible, -torch.inf)
        without = masked.scatter(-1, self._likeliest, -torch.inf)
        # A query that sees one key alone has no others; what they would weigh never counts.
        alone = torch.isinf(without).all(-1, keepdim=True)
        self._others = without.masked_fill(alone, 0.0).softmax(-1)
        rest = torch.log1p(-self._weights.clamp(max=0.75)).scatter(
            -1, self._likeliest, (without.logsumexp(-1) - masked.logsumexp(-1))[..., None]
        )
        x = (masked - masked.logsumexp(-1, keepdim=True)) - rest
        delta = (patched - scores).masked_fill(~visible, 0.0)
        raised = torch.sigmoid(x + delta) * torch.sigmoid(-x) * -torch.expm1(-delta.clamp(min=0))
        lowered = torch.sigmoid(x) * torch.sigmoid(-x - delta) * torch.expm1(delta.clamp(max=0))
        self._change = torch.where(delta > 0, raised, lowered)

    def effects(self, gradient: Rows) -> Float[Tensor, "heads batch keys"]:
        """The first-order effect behind the softmax of each key, over all queries that see it."""
        rest = 1 - self._weights
        mean = (self._weights * gradient).sum(-1, keepdim=True)
        others = (mean - self._weights * gradient) / rest.clamp(min=0.25)
        of_likeliest = (self._others * gradient).sum(-1, keepdim=True)
        others = others.scatter(-1, self._likeliest, of_likeliest)
        return (self._change * (gradient - others)).sum(-2)

"""What patching a query or a key does to attention weights, exactly.

A saturated softmax has almost no slope, so a gradient misjudges queries and keys. Here the softmax
is computed anew for the patched query or key, and only what comes behind the attention weights is
taken to first order (Kramar et al. 2024, arXiv 2403.00745, section 3.1.1).

A patched key changes one logit of each query's row, by delta. The weights of the other keys keep
their proportions, so the row's effect is (a' - a)(g - g_others): the change of the key's own weight
a times the gradient g at it, less the others' mean gradient. With x = log(a / (1 - a)) the new
weight is sigmoid(x + delta), and the change has the sign of delta and the size

    sigmoid(max(x, x + delta)) sigmoid(-min(x, x + delta)) (1 - exp(-|delta|)),

which loses no digits wherever the weights are saturated. All keys take O(T^2) for a head.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

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

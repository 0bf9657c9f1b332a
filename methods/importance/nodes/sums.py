"""What random subsets tell about single nodes: means, their difference, and how sure they are.

Subsampling (Kramar, Lieberum, Shah & Nanda 2024, arXiv 2403.00745, algorithm 1) patches a random
subset of nodes at a time, each with the same probability, and credits a node with the mean effect
of the subsets that have it less the mean of those without it. If effects add up, the difference is
the node's own effect on average; if pairs of nodes interact with weights w, it is off by the
probability times the sum of a node's w. Its standard error is about sqrt(sum of c^2 / draws) for
the effects c of all other nodes, whatever the probability. The same statistics bound what an
estimate has missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from scipy.stats import t
from torch import Tensor

# Fewer draws have no standard deviation.
FEWEST_FOR_VARIANCE = 2


@dataclass(frozen=True, eq=False)
class Group:
    """For each node, the draws that patched it, or those that did not.

    Attributes:
        count: how many draws.
        total: the sum of their effects, in the metric's unit.
        squares: the sum of the effects' squares.
    """

    count: Float[Tensor, " nodes"]
    total: Float[Tensor, " nodes"]
    squares: Float[Tensor, " nodes"]

    @property
    def mean(self) -> Float[Tensor, " nodes"]:
        """The mean effect; not a number where there is no draw."""
        # What is left of a difference of sums is not quite zero.
        return (self.total / self.count).where(self.count > 0, torch.nan)

    @property
    def deviation(self) -> Float[Tensor, " nodes"]:
        """The sample standard deviation; not a number where there are fewer than two draws."""
        spread = (self.squares - self.mean.square() * self.count).clamp(min=0)
        known = self.count >= FEWEST_FOR_VARIANCE
        return (spread / (self.count - 1)).where(known, torch.nan).sqrt()

    @property
    def squared_error(self) -> Float[Tensor, " nodes"]:
        """The squared standard error of the mean."""
        return self.deviation.square() / self.count


class SubsamplingSums:
    """Sums over draws, for draws that patched each node and draws that did not; in float64."""

    def __init__(self, n_nodes: int) -> None:
        """Begin without a draw."""
        self._patched = torch.zeros(3, n_nodes, dtype=torch.float64)
        self._all = torch.zeros(3, 1, dtype=torch.float64)

    def add(
        self,
        masks: Bool[Tensor, "draws nodes"] | Float[Tensor, "draws nodes"],
        effects: Float[Tensor, " draws"],
    ) -> None:
        """Take in draws.

        Args:
            masks: which nodes each draw patched.
            effects: what that did to the metric.
        """
        effects = effects.detach().cpu().double()
        powers = torch.stack([torch.ones_like(effects), effects, effects.square()])
        self._patched += powers @ masks.cpu().double()
        self._all += powers.sum(1, keepdim=True)

    @property
    def patched(self) -> Group:
        """The draws that patched each node."""
        return Group(*self._patched)

    @property
    def unpatched(self) -> Group:
        """The draws that did not."""
        return Group(*(self._all - self._patched))

    @property
    def difference(self) -> Float[Tensor, " nodes"]:
        """The estimated effect of each node, in the metric's unit (equations 12 and 13).

        Not a number for nodes that no draw, or every draw, patched.
        """
        return self.patched.mean - self.unpatched.mean

    @property
    def standard_error(self) -> Float[Tensor, " nodes"]:
        """That of the difference; not a number for nodes with fewer than two draws of a kind."""
        return (self.patched.squared_error + self.unpatched.squared_error).sqrt()

    @property
    def degrees_of_freedom(self) -> Float[Tensor, " nodes"]:
        """Those of the standard error, by Welch and Satterthwaite."""
        groups = self.patched, self.unpatched
        parts = [group.squared_error.square() / (group.count - 1) for group in groups]
        return self.standard_error**4 / (parts[0] + parts[1])

    def bounds(self, confidences: Sequence[float]) -> list[float]:
        """The least size of effect that no node has, at each confidence; an upper bound on all.

        A bound theta rejects, for every node by a one-sided Welch test, that its effect is theta or
        more; as all must be rejected, none needs a correction for their number (the paper's
        diagnostic of missed effects). Nodes that are known already should have no column here. The
        bound is infinite while a node has fewer than two draws of a kind.

        Args:
            confidences: such as 0.99.
        """
        size, error = self.difference.abs(), self.standard_error
        if error.isnan().any():
            return [torch.inf] * len(confidences)
        freedom = self.degrees_of_freedom.numpy()
        quantiles = [torch.from_numpy(t.ppf(confidence, freedom)) for confidence in confidences]
        # Without any spread there are no degrees of freedom, and nothing to add.
        return [
            (size + (error * quantile).where(error > 0, 0)).max().item() for quantile in quantiles
        ]

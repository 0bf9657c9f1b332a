"""The masks of uniform gradient sampling: their draws, and the gradient of their logits."""

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.graph.graph import ComputationalGraph
from methods.circuits.masks.priced import PricedMasks

# A mask value counts as inside the window if it is this far from 0 and 1.
INSIDE = 1e-3


class UniformMasks(PricedMasks):
    """A logit per price and edge, and the masks that are drawn from them."""

    def __init__(
        self,
        graph: ComputationalGraph,
        prices: Float[Tensor, " prices"],
        *,
        learning_rates: list[float],
        node_prices: list[float],
        masks_per_step: int,
        initial_logit: float,
        window: float,
        clip: float,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(
            graph,
            prices,
            torch.full(graph.exists.shape, initial_logit),
            learning_rates=learning_rates,
            node_prices=node_prices,
            masks_per_step=masks_per_step,
            clip=clip,
            seed=seed,
            device=device,
            betas=(0.9, 0.995),
        )
        self._window, self._drawn = window, torch.zeros(0)

    @property
    def logits(self) -> Float[Tensor, "prices src dst"]:
        """The logits as they are now."""
        return torch.stack([logits.detach() for logits in self._parameters])

    @property
    def probabilities(self) -> Float[Tensor, "prices src dst"]:
        """The probability of each edge; 0 where the graph has none."""
        return torch.stack(self._parameters).sigmoid() * self._exists

    def sample(self, step: int) -> Float[Tensor, "masks src dst"]:
        """The masks of a step, without each one's dangling edges."""
        uniform = self._uniform("uniform masks", step)
        p = self.probabilities.detach()[:, None]
        width = self._window * p * (1 - p)
        position = (uniform - p) / width.clamp(min=torch.finfo(p.dtype).tiny) + 0.5
        mask = (1 - position.clamp(0, 1)) * self._exists
        self._drawn = mask.flatten(0, 1).requires_grad_()
        return self._fed(self._drawn)

    def update(self) -> None:
        """One step of the optimiser, on the windowed gradient and the price's."""
        gradient = self._effects().nan_to_num(0.0, 0.0, 0.0)
        p = self.probabilities.detach()
        for logits, windowed in zip(self._parameters, gradient * p * (1 - p), strict=True):
            assert logits.grad is not None
            logits.grad += windowed
        super().update()

    def _effects(self) -> Float[Tensor, "prices src dst"]:
        """The mean gradient in each mask value over the masks that drew it inside its window."""
        assert self._drawn.grad is not None
        sizes = len(self._parameters), self._masks_per_step
        drawn = self._drawn.detach().unflatten(0, sizes)
        inside = (drawn > INSIDE) & (drawn < 1 - INSIDE)
        gradient = self._drawn.grad.unflatten(0, sizes)
        return (gradient * inside).sum(1) / inside.sum(1).clamp(min=1)

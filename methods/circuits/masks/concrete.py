"""The masks of hard-concrete gradient sampling: a logit and a temperature per price and edge."""

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.graph.graph import ComputationalGraph
from methods.circuits.masks.hard_concrete import TEMPERATURE, gates, probability_nonzero
from methods.circuits.masks.priced import PricedMasks

# The authors' bounds: of the temperature, and of the uniform draws.
COLDEST, LEAST = 1e-3, 1e-3


class ConcreteMasks(PricedMasks):
    """Logits and temperatures, and the masks that are drawn from them.

    `low` is where the interval of length 1.2 begins that draws are stretched to.
    """

    def __init__(
        self,
        graph: ComputationalGraph,
        prices: Float[Tensor, " prices"],
        *,
        learning_rates: list[float],
        node_prices: list[float],
        masks_per_step: int,
        initial_logit: float,
        low: float,
        clip: float,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        starts = [torch.full(graph.exists.shape, x) for x in (initial_logit, TEMPERATURE)]
        super().__init__(
            graph,
            prices,
            torch.stack(starts),
            learning_rates=learning_rates,
            node_prices=node_prices,
            masks_per_step=masks_per_step,
            clip=clip,
            seed=seed,
            device=device,
            betas=(0.9, 0.999),
        )
        self._low = low

    @property
    def logits(self) -> Float[Tensor, "prices src dst"]:
        """The logits as they are now."""
        return self._both()[0].detach()

    @property
    def probabilities(self) -> Float[Tensor, "prices src dst"]:
        """The probability that an edge's mask is not 0; 0 where the graph has none."""
        return probability_nonzero(*self._both()) * self._exists

    def sample(self, step: int) -> Float[Tensor, "masks src dst"]:
        """The masks of a step, without each one's dangling edges."""
        uniform = self._uniform("hard-concrete masks", step)
        noise = (uniform + LEAST).log() - (1 - uniform).log()
        logits, temperatures = (part[:, None] for part in self._both())
        drawn = gates(noise, logits, temperatures, self._low) * self._exists
        return self._fed(self._averaged(drawn.flatten(0, 1), self._masks_per_step))

    def _both(self) -> Float[Tensor, "2 prices src dst"]:
        """Logits and temperatures of all prices."""
        logits, temperatures = torch.stack(self._parameters, dim=1)
        return torch.stack([logits, temperatures.relu() + COLDEST])

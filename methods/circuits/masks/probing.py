"""The masks of subnetwork probing: hard-concrete draws per reader or edge, as masks of edges."""

from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.graph.graph import ComputationalGraph
from benchmark.seeds import generator
from methods.circuits.masks.hard_concrete import gates, log_alpha_of, probability_nonzero
from methods.circuits.masks.learned import LearnedMasks
from methods.circuits.scoring.readers import edges_between

# Uniform draws keep this distance from 0 and 1.
MARGIN = 1e-4


class Granularity(Enum):
    """What has a mask: every edge, or every q, k and v reader of a head and every MLP."""

    edge = "edge"
    reader = "reader"


class ProbingMasks(LearnedMasks):
    """A log-alpha per price and edge, or per price and reader, and the masks drawn from them.

    `initial_mask` is what all masks are about at the start.
    """

    def __init__(
        self,
        graph: ComputationalGraph,
        prices: Float[Tensor, " prices"],
        granularity: Granularity,
        *,
        learning_rate: float,
        masks_per_step: int,
        initial_mask: float,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self._graph, self._of_readers = graph, granularity is Granularity.reader
        self._exists = graph.exists.to(device)
        share = _share_of_reader(graph) if self._of_readers else graph.exists / graph.n_edges
        self._prices, self._share = prices.to(device), share.to(device)
        self._masks_per_step, self._seed = masks_per_step, seed
        shape = len(prices), *share.shape
        start = log_alpha_of(initial_mask)
        self._log_alpha = torch.full(shape, start, device=device, requires_grad=True)
        group = {"params": [self._log_alpha], "lr": learning_rate}
        super().__init__({"prices": prices.tolist()}, [group])

    @property
    def n_masks(self) -> int:
        """Masks of each step, of all prices together."""
        return len(self._log_alpha) * self._masks_per_step

    def sample(self, step: int) -> Float[Tensor, "masks src dst"]:
        """The masks of a step; the random numbers are the same for every price."""
        random = generator(self._seed, "probing masks", step)
        shape = self._masks_per_step, *self._share.shape
        noise = torch.rand(shape, generator=random).logit(MARGIN).to(self._exists.device)
        drawn = gates(noise, self._log_alpha[:, None]).flatten(0, 1)
        return self._of_edges(self._averaged(drawn, self._masks_per_step))

    def price(self) -> Float[Tensor, ""]:
        """The price of the mean probability of a mask other than 0, summed over all prices."""
        mean = (probability_nonzero(self._log_alpha) * self._share).sum((1, 2))
        return (self._prices * mean).sum()

    @property
    def probabilities(self) -> Float[Tensor, "prices src dst"]:
        """The probability that an edge's mask is not 0; 0 where the graph has none."""
        return self._of_edges(probability_nonzero(self._log_alpha))

    def survivors(self) -> Float[Tensor, "prices src dst"]:
        """1 for each edge of each price's circuit, as it is now."""
        return self._of_edges((self._log_alpha.detach() > 0).float())

    def _of_edges(self, drawn: Float[Tensor, "masks from dst"]) -> Float[Tensor, "masks src dst"]:
        if self._of_readers:
            return edges_between(self._graph, drawn[:, 0])
        return drawn * self._exists


def _share_of_reader(graph: ComputationalGraph) -> Float[Tensor, "1 dst"]:
    """How much each reader counts: modules (q, k, v, MLP) alike, and within one its heads alike."""
    q_k_v = torch.full((3 * graph.n_heads,), 1 / graph.n_heads)
    layer = torch.cat([q_k_v, torch.ones(1)]) / (4 * graph.n_layers)
    return torch.cat([layer.repeat(graph.n_layers), torch.zeros(1)])[None]

"""Masks with a logit per edge and a price on edges and heads, as UGS and HCGS train them.

Several prices are trained side by side; neighbouring masks belong to one price. The
price of heads, the clipping and the dropping of dangling edges in every mask are those of Li &
Janson (2024, arXiv 2409.09951, appendix F).
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.pruning import drop_dead_ends, drop_unfed
from benchmark.seeds import generator
from methods.circuits.masks.learned import LearnedMasks


class PricedMasks(LearnedMasks, ABC):
    """Parameters per price and edge, and what all ways to draw masks from them share.

    `start` is where the parameters of every price begin.
    """

    def __init__(
        self,
        graph: ComputationalGraph,
        prices: Float[Tensor, " prices"],
        start: Float[Tensor, "*parts src dst"],
        *,
        learning_rates: list[float],
        node_prices: list[float],
        masks_per_step: int,
        clip: float,
        seed: int,
        device: torch.device | str,
        betas: tuple[float, float],
    ) -> None:
        self._graph, self._clip, self._seed = graph, clip, seed
        self._exists = graph.exists.to(device)
        self._groups = _edge_groups(graph).to(device)
        self._prices, self._masks_per_step = prices.to(device), masks_per_step
        self._node_prices = torch.tensor(node_prices, device=device)
        start = start.to(device)
        self._parameters = [start.clone().requires_grad_() for _ in learning_rates]
        groups = [
            {"params": [parameter], "lr": rate}
            for parameter, rate in zip(self._parameters, learning_rates, strict=True)
        ]
        super().__init__({"prices": prices.tolist()}, groups, betas)

    @property
    def n_masks(self) -> int:
        """Masks of each step, of all prices together."""
        return len(self._parameters) * self._masks_per_step

    @property
    @abstractmethod
    def logits(self) -> Float[Tensor, "prices src dst"]:
        """What an edge is kept by, as it is now."""
        ...

    @property
    @abstractmethod
    def probabilities(self) -> Float[Tensor, "prices src dst"]:
        """What is paid for: the probability of each edge; 0 where the graph has none."""
        ...

    @abstractmethod
    def sample(self, step: int) -> Float[Tensor, "masks src dst"]:
        """The masks of a step, without each one's dangling edges."""
        ...

    def price(self) -> Float[Tensor, ""]:
        """The price of the expected edges and nodes, summed over all prices."""
        p = self.probabilities
        edges = (self._prices * p.sum((1, 2))).sum()
        return edges + (self._node_prices * self._soft_nodes(p)).sum()

    def update(self) -> None:
        """One step of the optimiser, on the clipped gradient."""
        for parameter in self._parameters:
            assert parameter.grad is not None
            parameter.grad = self._clipped(parameter.grad.nan_to_num(0.0, 0.0, 0.0))
        super().update()

    def _uniform(self, purpose: str, step: int) -> Float[Tensor, "per_price src dst"]:
        """Random numbers between 0 and 1, the same for every price."""
        random = generator(self._seed, purpose, step)
        drawn = torch.rand(self._masks_per_step, *self._exists.shape, generator=random)
        return drawn.to(self._exists.device)

    def _fed(self, drawn: Float[Tensor, "masks src dst"]) -> Float[Tensor, "masks src dst"]:
        """The drawn masks without each one's dangling edges."""
        kept = (drawn.detach() > 0).to(drawn.dtype)
        return drawn * drop_unfed(self._graph, drop_dead_ends(self._graph, kept))

    def _soft_nodes(self, p: Float[Tensor, "prices src dst"]) -> Float[Tensor, " prices"]:
        """About how many heads have edges, scaled so that a lone edge costs as much as it adds."""
        graph = self._graph
        n_heads = graph.n_layers * graph.n_heads
        total = p.new_zeros(len(p))
        for layer in range(graph.n_layers):
            heads = slice(graph.head_source(layer), graph.mlp_source(layer))
            into = p[:, :, graph.qkv_stage(layer).destinations].sum(1).unflatten(1, (3, -1)).sum(1)
            degree = into + p[:, heads].sum(2)
            total = total + (n_heads / 2 * (2 * degree / n_heads).tanh()).sum(1)
        return total

    def _clipped(
        self, gradient: Float[Tensor, "*parts src dst"]
    ) -> Float[Tensor, "*parts src dst"]:
        """The gradient with the L2 norm of each group of edges at most `clip`."""
        for group in self._groups:
            # To choose by a mask would make a GPU wait for the number of those chosen.
            norm = (gradient * group).norm()
            gradient = torch.where(
                group, gradient * (self._clip / norm.clamp(min=self._clip)), gradient
            )
        return gradient


def _edge_groups(graph: ComputationalGraph) -> Tensor:
    """Groups of edges: between heads and MLPs, where the input and the logits count as MLPs."""
    from_head = torch.tensor([name.startswith("a") for name in graph.sources])[:, None]
    into_head = torch.tensor([name.startswith("a") for name in graph.destinations])
    groups = [s & d for s in (from_head, ~from_head) for d in (into_head, ~into_head)]
    return torch.stack([group & graph.exists for group in groups])

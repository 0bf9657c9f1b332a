"""The masks of uniform gradient sampling: their draws, and the gradient of their logits.

Several penalties are trained side by side; neighbouring mask rows belong to one penalty.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.graph import ComputationalGraph
from benchmark.pruning import drop_dead_ends, drop_unfed
from benchmark.seeding import generator

# A mask value counts as inside the window if it is this far from 0 and 1.
INSIDE = 1e-3


class UniformMasks:
    """A logit per penalty and edge, and the masks that are drawn from them."""

    def __init__(
        self,
        graph: ComputationalGraph,
        penalties: Float[Tensor, " penalties"],
        *,
        learning_rates: list[float],
        node_penalties: list[float],
        masks_per_step: int,
        initial_logit: float,
        window: float,
        clip: float,
        seed: int,
    ) -> None:
        self._graph, self._window, self._clip, self._seed = graph, window, clip, seed
        self._exists = graph.exists.to(penalties.device)
        self._groups = _edge_groups(graph).to(penalties.device)
        self._penalties, self._masks_per_step = penalties, masks_per_step
        self._node_penalties = torch.tensor(node_penalties, device=penalties.device)
        shape = graph.exists.shape
        self._parameters = [
            torch.full(shape, initial_logit, device=penalties.device, requires_grad=True)
            for _ in learning_rates
        ]
        groups = [
            {"params": [logits], "lr": rate}
            for logits, rate in zip(self._parameters, learning_rates, strict=True)
        ]
        self._optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.995), weight_decay=0.0)
        self._drawn = torch.zeros(0)

    @property
    def n_masks(self) -> int:
        """Mask rows of each step, of all penalties together."""
        return len(self._parameters) * self._masks_per_step

    @property
    def logits(self) -> Float[Tensor, "penalties src dst"]:
        """The logits as they are now."""
        return torch.stack([logits.detach() for logits in self._parameters])

    @property
    def probabilities(self) -> Float[Tensor, "penalties src dst"]:
        """The probability of each edge; 0 where the graph has none."""
        return torch.stack(self._parameters).sigmoid() * self._exists

    def sample(self, step: int) -> Float[Tensor, "masks src dst"]:
        """The masks of a step, without each row's dangling edges."""
        random = generator(self._seed, "uniform masks", step)
        drawn = torch.rand(self._masks_per_step, *self._exists.shape, generator=random)
        p = self.probabilities.detach()[:, None]
        width = self._window * p * (1 - p)
        position = (drawn.to(p.device) - p) / width.clamp(min=torch.finfo(p.dtype).tiny) + 0.5
        mask = (1 - position.clamp(0, 1)) * self._exists
        self._drawn = mask.flatten(0, 1).requires_grad_()
        kept = (self._drawn.detach() > 0).to(p.dtype)
        alive = drop_unfed(self._graph, drop_dead_ends(self._graph, kept))
        return self._drawn * alive

    def penalty(self) -> Float[Tensor, ""]:
        """The price of the expected edges and nodes, summed over the penalties."""
        p = self.probabilities
        edges = (self._penalties * p.sum((1, 2))).sum()
        return edges + (self._node_penalties * self._soft_nodes(p)).sum()

    def update(self) -> None:
        """One step of the optimiser, on the windowed gradient and the penalty's."""
        gradient = self._effects().nan_to_num(0.0, 0.0, 0.0)
        p = self.probabilities.detach()
        for index, logits in enumerate(self._parameters):
            assert logits.grad is not None
            total = logits.grad + (gradient * p * (1 - p))[index]
            logits.grad = self._clipped(total.nan_to_num(0.0, 0.0, 0.0))
        self._optimizer.step()
        self._optimizer.zero_grad()

    def state(self) -> dict[str, Any]:
        """Logits and optimiser, and the prices, which must agree."""
        return {
            "penalties": self._penalties,
            "logits": self.logits,
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            UserError: it was made for other prices.
        """
        if not torch.equal(state["penalties"], self._penalties):
            raise UserError("the checkpoint was made for other penalties; give another path")
        with torch.no_grad():
            for logits, saved in zip(self._parameters, state["logits"], strict=True):
                logits.copy_(saved)
        self._optimizer.load_state_dict(state["optimizer"])

    def _effects(self) -> Float[Tensor, "penalties src dst"]:
        """The mean gradient in each mask value over the rows that drew it inside its window."""
        assert self._drawn.grad is not None
        rows = len(self._parameters), self._masks_per_step
        drawn = self._drawn.detach().unflatten(0, rows)
        inside = (drawn > INSIDE) & (drawn < 1 - INSIDE)
        gradient = self._drawn.grad.unflatten(0, rows)
        return (gradient * inside).sum(1) / inside.sum(1).clamp(min=1)

    def _soft_nodes(self, p: Float[Tensor, "penalties src dst"]) -> Float[Tensor, " penalties"]:
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

    def _clipped(self, gradient: Float[Tensor, "src dst"]) -> Float[Tensor, "src dst"]:
        """The gradient with each kind of edge's L2 norm at most `clip`."""
        for group in self._groups:
            norm = gradient[group].norm()
            gradient = torch.where(
                group, gradient * (self._clip / norm.clamp(min=self._clip)), gradient
            )
        return gradient


def _edge_groups(graph: ComputationalGraph) -> Tensor:
    """Edges by kind: between heads and MLPs, where the input and the logits count as MLPs."""
    from_head = torch.tensor([name.startswith("a") for name in graph.sources])[:, None]
    into_head = torch.tensor([name.startswith("a") for name in graph.destinations])
    kinds = [s & d for s in (from_head, ~from_head) for d in (into_head, ~into_head)]
    return torch.stack([kind & graph.exists for kind in kinds])

"""The masks of Edge Pruning: gates of edges, and of sources if asked for, of each target."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.seeds import generator
from methods.circuits.masks.hard_concrete import discrete, gates, probability_nonzero
from methods.circuits.masks.learned import LearnedMasks
from methods.circuits.masks.schedule import SparsitySchedule


class TargetedMasks(LearnedMasks):
    """A mask per target, each with gates and multipliers of its own.

    With gates of sources the mask of an edge is its own gate times its source's: a source that is
    off writes its ablation value, whoever reads it.

    Args:
        subgraph: the edges that are trained; the others are 0.
        n_edges: of the full graph, to count sparsity against.
        targets: shares of edges to remove.
        schedule: of targets and learning rates.
        component_masks: whether sources have gates.
        component_target: share of sources to remove, or None not to ask for one.
        learning_rate: of gates.
        multiplier_learning_rate: of multipliers.
        weight_decay: of both.
        initial_log_alpha: about where gates begin.
        seed: of the draws.
    """

    def __init__(
        self,
        subgraph: Bool[Tensor, "src dst"],
        n_edges: int,
        targets: list[float],
        schedule: SparsitySchedule,
        *,
        component_masks: bool,
        component_target: float | None,
        learning_rate: float,
        multiplier_learning_rate: float,
        weight_decay: float,
        initial_log_alpha: float,
        seed: int,
    ) -> None:
        self._schedule, self._step = schedule, 0
        device, n_sources = subgraph.device, len(subgraph)
        edge_targets = torch.tensor(targets, device=device)
        component_targets = torch.full_like(edge_targets, component_target or 0.0)
        sources = torch.ones(n_sources, 1, dtype=torch.bool, device=device)
        common = initial_log_alpha, seed
        edges = SparseGates("edges", subgraph, n_edges, edge_targets, *common)
        nodes = SparseGates("sources", sources, n_sources, component_targets, *common)
        self._gates = [edges, nodes] if component_masks else [edges]
        self._aimed = [edges] if component_target is None else self._gates
        self._drawn: list[Tensor] = []
        ascent = dict(initial_lr=multiplier_learning_rate, maximize=True)
        groups = [{"params": [x.log_alpha], "initial_lr": learning_rate} for x in self._gates]
        groups += [{"params": [x.multipliers], **ascent} for x in self._aimed]
        made_for = {"targets": targets, "steps": [float(schedule.steps)]}
        super().__init__(made_for, groups, weight_decay=weight_decay)

    @property
    def n_masks(self) -> int:
        """One mask per target."""
        return len(self._gates[0].log_alpha)

    def sample(self, step: int) -> Float[Tensor, "targets src dst"]:
        """The masks of a step."""
        self._step, self._drawn = step, [x.draw(step) for x in self._gates]
        return _product(self._drawn)

    def price(self) -> Float[Tensor, ""]:
        """What the drawn masks cost that are not as sparse as the step asks for."""
        pairs = zip(self._aimed, self._drawn, strict=False)
        costs = [x.price(drawn, self._schedule, self._step) for x, drawn in pairs]
        return torch.stack(costs).sum()

    def update(self) -> None:
        """One step of the optimiser, as fast as the schedule says."""
        rate = self._schedule.rate(self._step)
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * rate
        super().update()

    @property
    def probabilities(self) -> Float[Tensor, "targets src dst"]:
        """The probability that an edge's mask is not 0; 0 for edges that are not trained."""
        return _product([x.probabilities for x in self._gates])

    def circuits(self) -> Float[Tensor, "targets src dst"]:
        """1 for each edge of each target's circuit, as it is now.

        Edges and sources are read off apart; then the edges of a source that is off go too.
        """
        return _product([x.kept().float() for x in self._gates])


def _product(factors: list[Tensor]) -> Tensor:
    """Gates of edges, times those of their sources if there are any."""
    return factors[0] * factors[1] if len(factors) > 1 else factors[0]


# Uniform draws keep this distance from 0 and 1; how much gates differ at the start.
MARGIN, SPREAD = 1e-6, 0.01


class SparseGates:
    """Gates of one kind, of edges or of sources, for several targets side by side.

    Random numbers are the same for every target. What is trained is `log_alpha`, and
    `multipliers`, whose gradient is to be climbed.

    Args:
        kind: what the gates are of, for the seeds of their draws.
        trained: which gates are trained; the others are 0.
        n_gates: how many there are, to count sparsity against.
        targets: sparsities at the end; more than 1 presses harder.
        initial_log_alpha: about where gates begin.
        seed: of the draws.
    """

    def __init__(
        self,
        kind: str,
        trained: Bool[Tensor, "src columns"],
        n_gates: int,
        targets: Float[Tensor, " targets"],
        initial_log_alpha: float,
        seed: int,
    ) -> None:
        self._kind, self._trained, self._n_gates = kind, trained, n_gates
        self._targets, self._seed = targets, seed
        self._start = 1 - trained.sum().double() / n_gates
        noise = torch.randn(trained.shape, generator=generator(seed, "gates at the start", kind))
        start = (initial_log_alpha + SPREAD * noise).to(trained.device)
        self.log_alpha = start.repeat(len(targets), 1, 1).requires_grad_()
        self.multipliers = torch.zeros(len(targets), 2, device=trained.device, requires_grad=True)

    def draw(self, step: int) -> Float[Tensor, "targets src columns"]:
        """The gates of a step."""
        random = generator(self._seed, "gates", self._kind, step)
        noise = torch.rand(self._trained.shape, generator=random).logit(MARGIN)
        return gates(noise.to(self._trained.device), self.log_alpha) * self._trained

    def price(
        self, drawn: Float[Tensor, "targets src columns"], schedule: SparsitySchedule, step: int
    ) -> Float[Tensor, " targets"]:
        """What a draw costs that is not as sparse as the step asks for."""
        sparsity = 1 - drawn.sum((1, 2)) / self._n_gates
        excess = sparsity - schedule.target(step, self._start, self._targets)
        linear, square = self.multipliers.unbind(1)
        return linear * excess + square * excess**2

    @property
    def probabilities(self) -> Float[Tensor, "targets src columns"]:
        """The probability that a gate is not 0."""
        return probability_nonzero(self.log_alpha) * self._trained

    def kept(self) -> Bool[Tensor, "targets src columns"]:
        """The gates that are on, as they are now."""
        kept = torch.zeros_like(self.log_alpha, dtype=torch.bool)
        for of_target, log_alpha in zip(kept, self.log_alpha.detach(), strict=True):
            of_target[self._trained] = discrete(log_alpha[self._trained])
        return kept

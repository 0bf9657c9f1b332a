"""Hard-concrete gates that are trained towards a sparsity by Lagrange multipliers.

The sparsity s of a draw is held to the target t by the loss l1 (s - t) + l2 (s - t)^2, whose
multipliers climb while the gates descend it (Bhaskar et al. 2024, arXiv 2406.16778).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.seeding import generator
from methods.circuits.hard_concrete import discrete, gates
from methods.circuits.sparsity_schedule import SparsitySchedule

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
        self._start = 1 - int(trained.sum()) / n_gates
        noise = torch.randn(trained.shape, generator=generator(seed, "gates at the start", kind))
        start = (initial_log_alpha + SPREAD * noise).to(trained.device)
        self.log_alpha = start.repeat(len(targets), 1, 1).requires_grad_()
        self.multipliers = torch.zeros(len(targets), 2, device=trained.device, requires_grad=True)

    def draw(self, step: int) -> Float[Tensor, "targets src columns"]:
        """The gates of a step."""
        random = generator(self._seed, "gates", self._kind, step)
        noise = torch.rand(self._trained.shape, generator=random).logit(MARGIN)
        return gates(noise.to(self._trained.device), self.log_alpha) * self._trained

    def penalty(
        self, drawn: Float[Tensor, "targets src columns"], schedule: SparsitySchedule, step: int
    ) -> Float[Tensor, " targets"]:
        """What a draw costs that is not as sparse as the step asks for."""
        sparsity = 1 - drawn.sum((1, 2)) / self._n_gates
        excess = sparsity - schedule.target(step, self._start, self._targets)
        linear, square = self.multipliers.unbind(1)
        return linear * excess + square * excess**2

    def kept(self) -> Bool[Tensor, "targets src columns"]:
        """The gates that are on, as they are now."""
        kept = torch.zeros_like(self.log_alpha, dtype=torch.bool)
        for row, log_alpha in zip(kept, self.log_alpha.detach(), strict=True):
            row[self._trained] = discrete(log_alpha[self._trained])
        return kept

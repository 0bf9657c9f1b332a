"""When Edge Pruning asks for how much sparsity, and how fast it learns.

Step counts are those of a training of 3,000 steps, the authors'; a shorter or longer training
is scaled to it.
"""

from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from methods.circuits.masks.training import STEPS


class Ramp(Enum):
    """How the target grows: the share of gates off linearly, or of those on exponentially down."""

    linear = "linear"
    logarithmic = "logarithmic"


@dataclass(frozen=True)
class SparsitySchedule:
    """Warm-up and decay of the learning rate, and the ramp of the target.

    Attributes:
        steps: of the whole training.
        warm_up_steps: of 3,000, in which the learning rate grows; it falls to 0 in the others.
        ramp_steps: of 3,000, in which the target grows.
        ramp: its shape.
    """

    steps: int
    warm_up_steps: int
    ramp_steps: int
    ramp: Ramp

    def rate(self, step: int) -> float:
        """The learning rate of a step, as a share of the full one."""
        warm_up = self.warm_up_steps * self.steps / STEPS
        if step < warm_up:
            return step / warm_up
        return (self.steps - step) / (self.steps - warm_up)

    def target(
        self, step: int, start: Float[Tensor, ""] | float, targets: Float[Tensor, " targets"]
    ) -> Float[Tensor, " targets"]:
        """The sparsities to reach in a step, on the way from `start` to the targets."""
        ramp = self.ramp_steps * self.steps / STEPS
        done = min(1.0, step / ramp) if ramp else 1.0
        if self.ramp is Ramp.linear:
            return start + (targets - start) * done
        dense = torch.as_tensor(1 - start).to(targets).log()
        return 1 - (dense + ((1 - targets).log() - dense) * done).exp()

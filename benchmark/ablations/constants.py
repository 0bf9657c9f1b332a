"""Constants: one per source, whatever the prompt."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.forward.values import SourceValues, for_length
from benchmark.prompts.batch import Batch


@dataclass(frozen=True, eq=False)
class Constants:
    """One constant per source, or several sets of them, one per mask.

    `losses` is the mean loss gap in nats of each training step and mask; empty if untrained.
    """

    values: SourceValues
    losses: Float[Tensor, "steps masks"] = field(default_factory=lambda: torch.zeros(0, 0))

    def __call__(self, batch: Batch, draw: int = 0) -> SourceValues:
        """The constants at the batch's positions."""
        return for_length(self.values, batch.n_positions)

    def of_mask(self, index: int) -> "Constants":
        """The constants of one mask, which may share them with the others.

        Raises:
            UserError: there is no such mask.
        """
        n_masks = max(self.values.axes[0], self.losses.shape[1])
        if not 0 <= index < n_masks:
            raise UserError(f"constants of mask {index} were asked for; there are {n_masks} masks")
        own, shared = slice(index, index + 1), self.values.axes[0] == 1
        values = self.values if shared else self.values.map(lambda x: x[..., own, :, :, :])
        return Constants(values, self.losses[:, own])

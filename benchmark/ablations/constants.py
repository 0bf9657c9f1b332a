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
    """One constant per source, or several sets of them, one per mask row.

    `losses` is the mean loss gap in nats of each training step and mask row; empty if untrained.
    """

    rows: SourceValues
    losses: Float[Tensor, "steps masks"] = field(default_factory=lambda: torch.zeros(0, 0))

    def __call__(self, batch: Batch, draw: int = 0) -> SourceValues:
        """The constants at the batch's positions."""
        return for_length(self.rows, batch.n_positions)

    def of_mask(self, row: int) -> "Constants":
        """The constants of one mask row, which may share them with the others.

        Raises:
            UserError: there is no such row.
        """
        n_masks = max(self.rows.axes[0], self.losses.shape[1])
        if not 0 <= row < n_masks:
            raise UserError(f"constants of mask row {row} were asked for; there are {n_masks} rows")
        shared, index = self.rows.axes[0] == 1, slice(row, row + 1)
        rows = self.rows if shared else self.rows.map(lambda x: x[..., index, :, :, :])
        return Constants(rows, self.losses[:, index])

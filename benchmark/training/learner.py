"""Constants that are trained while they replace what is ablated (see loop.py)."""

from typing import Any

import torch

from benchmark.forward.values import SourceValues, for_length
from benchmark.prompts.batch import Batch


class LearnedConstants:
    """A replacement that AdamW trains, without weight decay: one set of constants or several.

    `constants_learn_below` is what `masked_logits` takes by that name.
    """

    def __init__(
        self, start: SourceValues, learning_rate: float, constants_learn_below: float | None
    ) -> None:
        self.constants_learn_below = constants_learn_below
        self._values = start.map(lambda x: x.clone().requires_grad_())
        self._learning_rate = learning_rate
        self._optimizer = torch.optim.AdamW(
            self._values.tensors, lr=learning_rate, weight_decay=0.0
        )

    def __call__(self, batch: Batch, draw: int = 0) -> SourceValues:
        """The constants at the batch's positions, with their gradient."""
        return for_length(self._values, batch.n_positions)

    @property
    def values(self) -> SourceValues:
        """The constants as they are now."""
        return self._values.detach()

    def update(self) -> None:
        """One step of the optimiser, after the backward pass."""
        self._optimizer.step()
        self._optimizer.zero_grad()

    def identity(self) -> list[Any]:
        """What a checkpoint must agree with: the learning rate, and the form of the values."""
        values = self._values
        form = [values.keep_first, list(values.axes), str(values.input.dtype)]
        return ["learned", self._learning_rate, self.constants_learn_below, *form]

    def state(self) -> dict[str, Any]:
        """Constants and optimiser."""
        return {"values": list(self.values.tensors), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        with torch.no_grad():
            for value, saved in zip(self._values.tensors, state["values"], strict=True):
                value.copy_(saved)
        self._optimizer.load_state_dict(state["optimizer"])

"""What ablated edges carry while masks or constants are trained: constants that learn, or not."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch

from benchmark.errors import UserError
from benchmark.forward.values import SourceValues, for_length
from benchmark.prompts.batch import Batch


@runtime_checkable
class TrainedValues(Protocol):
    """Ablation values of each training step."""

    @property
    def constants_learn_below(self) -> float | None:
        """What `masked_logits` takes by that name."""
        ...

    def at(self, batch: Batch, step: int, n_masks: int) -> SourceValues:
        """The values of a step's prompts, for one, all alike, or each of its masks."""
        ...

    def update(self) -> None:
        """After the backward pass: change what is learned and clear its gradients."""
        ...

    def identity(self) -> list[Any]:
        """Plain values that a checkpoint must agree with."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        ...


class LearnedConstants:
    """Constants that AdamW trains without weight decay.

    Several sets of them serve equally many neighbouring masks each.
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

    @property
    def values(self) -> SourceValues:
        """The constants as they are now, a set each."""
        return self._values.detach()

    def at(self, batch: Batch, step: int, n_masks: int) -> SourceValues:
        """The constants at the batch's positions."""
        values, n_sets = for_length(self._values, batch.n_positions), self._values.axes[0]
        if n_sets in (1, n_masks):
            return values
        if n_masks % n_sets:
            raise UserError(f"{n_sets} sets of constants cannot serve {n_masks} masks evenly")
        return values.map(lambda x: x.repeat_interleave(n_masks // n_sets, dim=-4))

    def update(self) -> None:
        """One step of the optimiser."""
        self._optimizer.step()
        self._optimizer.zero_grad()

    def identity(self) -> list[Any]:
        """The learning rate, and the form of the values."""
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


class GivenValues:
    """The values of a fitted ablation; random ones are drawn anew in each step."""

    constants_learn_below = None

    def __init__(self, replacement: Callable[[Batch, int], SourceValues], name: str) -> None:
        self._replacement, self._name = replacement, name

    def at(self, batch: Batch, step: int, n_masks: int) -> SourceValues:
        """The ablation's values of this batch."""
        return self._replacement(batch, step)

    def update(self) -> None:
        """Nothing to learn."""

    def identity(self) -> list[Any]:
        """What was given."""
        return ["given", self._name]

    def state(self) -> dict[str, Any]:
        """Nothing changes."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""

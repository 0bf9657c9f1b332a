"""What all trained masks share: parameters that AdamW trains, and the state of a checkpoint."""

from typing import Any

import torch
from torch import Tensor

from benchmark.errors import UserError


class LearnedMasks:
    """The parameters of several circuits' masks, and their optimiser.

    `made_for` names what a checkpoint must agree with: {"prices": [0.1, 0.2]}.
    """

    def __init__(
        self,
        made_for: dict[str, list[float]],
        groups: list[dict[str, Any]],
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        self._made_for = made_for
        self._optimizer = torch.optim.AdamW(groups, betas=betas, weight_decay=weight_decay)

    def update(self) -> None:
        """One step of the optimiser."""
        self._optimizer.step()
        self._optimizer.zero_grad()

    def state(self) -> dict[str, Any]:
        """Parameters and optimiser, and what they were made for."""
        return {
            "made_for": self._made_for,
            "parameters": [parameter.detach() for parameter in self._trained()],
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            UserError: it was made for other prices, targets or steps.
        """
        for name, values in self._made_for.items():
            if state["made_for"][name] != values:
                raise UserError(f"the checkpoint was made for other {name}; give another path")
        with torch.no_grad():
            for parameter, saved in zip(self._trained(), state["parameters"], strict=True):
                parameter.copy_(saved)
        self._optimizer.load_state_dict(state["optimizer"])

    def _averaged(self, drawn: Tensor, n_masks: int) -> Tensor:
        """Draws whose gradient is divided by the masks of each price.

        Training adds up the loss gaps of all masks; a price is weighed against their mean.
        """
        if drawn.requires_grad:
            drawn.register_hook(lambda gradient: gradient / n_masks)
        return drawn

    def _trained(self) -> list[Tensor]:
        return [x for group in self._optimizer.param_groups for x in group["params"]]

"""Masks that stand still or learn while ablation constants are trained (see loop.py)."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError


@runtime_checkable
class MaskSampler(Protocol):
    """Masks that are trained together with the constants."""

    @property
    def n_masks(self) -> int:
        """Masks of each sample."""
        ...

    def sample(self, step: int) -> Float[Tensor, "masks src dst"]:
        """The masks of one step, differentiable in what the sampler learns."""
        ...

    def price(self) -> Float[Tensor, ""]:
        """What is added to the summed loss gaps: a price on the circuit's size, say."""
        ...

    def update(self) -> None:
        """After the backward pass: change what is learned and clear its gradients."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        ...


@dataclass(frozen=True)
class FixedMasks:
    """Masks that do not change."""

    masks: Float[Tensor, "masks src dst"]

    @property
    def n_masks(self) -> int:
        """Masks."""
        return len(self.masks)

    def sample(self, step: int) -> Float[Tensor, "masks src dst"]:
        """The masks."""
        return self.masks

    def price(self) -> Float[Tensor, ""]:
        """Nothing."""
        return self.masks.new_zeros(())

    def update(self) -> None:
        """Nothing to learn."""

    def state(self) -> dict[str, Any]:
        """The masks, so that constants of other masks are not continued by mistake."""
        return {"masks": self.masks}

    def restore(self, state: dict[str, Any]) -> None:
        """Check that the masks are the same.

        Raises:
            UserError: they are not.
        """
        if not torch.equal(state["masks"], self.masks):
            raise UserError("the checkpoint was made for other masks; give another checkpoint path")

"""Where a masked pass keeps its sources: one growing buffer, and the masks laid out to match."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Buffer:
    """Differences of all sources at some positions, with the sum of ablation values in row 0.

    The first `n_shared` sources may come from an earlier pass and are the same for all masks.
    """

    def __init__(self, live: Tensor, shared: Tensor | None = None) -> None:
        self.live: Float[Tensor, "slots masks batch pos d_model"] = live
        self.shared: Float[Tensor, "shared batch pos d_model"] | None = shared
        self.n_shared = 0 if shared is None else len(shared)
        self.gradient: Float[Tensor, "read masks batch pos d_model"] | None = None
        self._waiting: tuple[tuple[Tensor, Tensor], Tensor] | None = None

    @property
    def base(self) -> Float[Tensor, "masks batch pos d_model"]:
        """The sum of the ablation values (and attention output biases) written so far."""
        return self.live[0]

    def slots_of(self, first: int, stop: int) -> slice:
        """Where the live ones among some neighbouring sources are."""
        return slice(1 + max(first - self.n_shared, 0), 1 + stop - self.n_shared)

    def slots(self, first: int, count: int) -> Float[Tensor, "count masks batch pos d_model"]:
        """The rows of `count` live sources from source index `first` on."""
        return self.live[1 + first - self.n_shared :][:count]

    def gradient_of(self, first: int, count: int) -> Tensor:
        """The accumulated gradient of the same sources."""
        assert self.gradient is not None
        return self.gradient[first - self.n_shared :][:count]

    def add_gradient(self, first: int, keep: Tensor, dx: Tensor) -> None:
        """Add `keep` [masks, n, readers] times `dx` [masks, readers, flat] to n live sources.

        The first reader to arrive reads at least as many sources as any later one, so its product
        is the initial value and nothing needs to be cleared.
        """
        if self.gradient is None:
            self.gradient = torch.empty_like(self.live[1 : 1 + keep.shape[1]])
            torch.bmm(keep, dx, out=self.gradient.flatten(2).transpose(0, 1))
            if self._waiting is not None:
                self.add_gradient_at(*self._waiting)
            return
        into = self.gradient[first : first + keep.shape[1]]
        into.flatten(2).transpose(0, 1).baddbmm_(keep, dx)

    def add_gradient_at(self, positions: tuple[Tensor, Tensor], gradient: Tensor) -> None:
        """Add a gradient at some positions of the first sources, once a reader has come by."""
        if self.gradient is None:
            self._waiting = positions, gradient
        else:
            self.gradient[: len(gradient), :, *positions] += gradient

    def clear_gradient(self) -> None:
        """Start afresh."""
        self.gradient = self._waiting = None

    def rows(self, slots: slice) -> Float[Tensor, "masks rows n"]:
        """Some slots, flattened, for a matrix product."""
        return self.live[slots].flatten(2).transpose(0, 1)

    def mixed(
        self,
        keep: Float[Tensor, "masks readers slots"],
        shared: Float[Tensor, "readers_masks n_shared"],
        needed: Bool[Tensor, "masks live"] | None,
    ) -> Float[Tensor, "readers masks batch pos d_model"]:
        """What readers receive of the first slots; `needed` sources alone, if it is known."""
        masks, readers, n_slots = keep.shape
        rows = self.rows(slice(0, n_slots))
        x = rows.new_empty(readers, masks, rows.shape[-1])
        if needed is None:
            torch.bmm(keep, rows, out=x.transpose(0, 1))
        else:
            for of_mask in zip(keep, rows, needed, x.transpose(0, 1), strict=True):
                _mix_needed(*of_mask)
        if self.shared is not None:
            x.view(readers * masks, -1).addmm_(shared, self.shared.flatten(1))
        return x.view(readers, masks, *self.live.shape[2:])


def _mix_needed(
    keep: Float[Tensor, "readers slots"],
    rows: Float[Tensor, "slots n"],
    needed: Bool[Tensor, " sources"],
    x: Float[Tensor, "readers n"],
) -> None:
    """Mix one mask's sources, without those that no reader keeps if these are the most."""
    sources = needed.nonzero()[:, 0] + 1
    if len(sources) < len(rows) / 2:
        slots = torch.cat([sources.new_zeros(1), sources])
        keep, rows = keep[:, slots], rows[slots]
    torch.mm(keep, rows, out=x)


@dataclass(frozen=True)
class MaskLayout:
    """Masks laid out for matrix products; one destination column stands for all of them.

    `live` has a leading column of ones, for the buffer's row 0.
    """

    live: Float[Tensor, "masks dst slots"]
    shared: Float[Tensor, "dst masks shared"]

    @classmethod
    def of(cls, masks: Float[Tensor, "masks src dst"], n_shared: int) -> "MaskLayout":
        """Lay out masks whose first `n_shared` sources come from an earlier pass."""
        by_destination = masks.transpose(1, 2)
        ones = torch.ones_like(by_destination[..., :1])
        live = torch.cat([ones, by_destination[..., n_shared:]], dim=-1)
        return cls(live, by_destination[..., :n_shared].transpose(0, 1).contiguous())

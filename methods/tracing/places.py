"""What is restored where: groups of places that differ in their layer alone."""

from dataclasses import dataclass
from enum import Enum

from jaxtyping import Int
from torch import Tensor

from benchmark.effects.tracing.restoring import Restoration
from benchmark.effects.tracing.schedule import window
from benchmark.effects.tracing.trace import Restored
from benchmark.prompts.batch import Batch


class Where(Enum):
    """Which tokens are restored."""

    last_subject = "last_subject"
    all_subject = "all_subject"
    last = "last"

    def ends(self, batch: Batch) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """The half-open range of positions in each prompt."""
        assert batch.subject is not None
        start, stop = batch.subject.unbind(1)
        if self is Where.last:
            return batch.read_at, batch.read_at + 1
        return (stop - 1 if self is Where.last_subject else start), stop


@dataclass(frozen=True)
class Group:
    """Places that differ in their layer alone.

    Attributes:
        restored: what is restored.
        width: layers of a window around the place's layer.
        where: at which tokens.
    """

    restored: Restored
    width: int
    where: Where

    @property
    def name(self) -> str:
        """For files and tensors."""
        return f"{self.restored.value}_{self.width}_{self.where.value}"

    def layers(self, n_layers: int) -> tuple[frozenset[int], ...]:
        """The layers that are restored, for each place."""
        return tuple(window(layer, self.width, n_layers) for layer in range(n_layers))

    def restoration(
        self, batch: Batch, layers: tuple[frozenset[int], ...], severed: Restored | None = None
    ) -> Restoration:
        """These layers restored at this group's tokens of a batch."""
        return Restoration(self.restored, layers, *self.where.ends(batch), severed)

"""Which rows a pass has in which layer, so that no two of them ever compute the same.

Each row restores something in a set of layers. Two rows are the same up to the first layer that
only one of them restores, and a row is the corrupted run up to the first layer that it restores.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """The rows of one layer: those that go on from the layer before, then the one that joins.

    Attributes:
        parents: of each row that goes on, its number in the layer before.
        restored: of each row that goes on, whether it is restored in this layer.
        joins: whether a row begins, which is the corrupted run until it is restored here.
    """

    parents: tuple[int, ...]
    restored: tuple[bool, ...]
    joins: bool


@dataclass(frozen=True)
class Schedule:
    """The rows of all layers, and which of the last layer's each set of layers ends as."""

    steps: tuple[Step, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, sets: Sequence[frozenset[int]], n_layers: int) -> "Schedule":
        """The schedule of rows that restore these sets of layers, none of them empty."""
        steps, before = [], []
        for layer in range(n_layers):
            histories = dict.fromkeys(
                tuple(index in chosen for index in range(layer + 1)) for chosen in sets
            )
            # Sets that are the corrupted run until now have no row yet.
            going = [history for history in histories if any(history[:-1])]
            joining = [(False,) * layer + (True,)]
            joining = [history for history in joining if history in histories]
            parents = tuple(before.index(history[:-1]) for history in going)
            steps.append(Step(parents, tuple(h[-1] for h in going), bool(joining)))
            before = going + joining
        whole = (tuple(index in chosen for index in range(n_layers)) for chosen in sets)
        return cls(tuple(steps), tuple(before.index(history) for history in whole))


def window(centre: int, width: int, n_layers: int) -> frozenset[int]:
    """The layers of a window of this width around a layer, clipped at the ends (Meng et al. 2022).

    An even window has one layer more below its centre than above it.
    """
    first = centre - width // 2
    return frozenset(range(max(0, first), min(n_layers, first + width)))

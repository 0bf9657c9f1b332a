"""What a verb shows when some records cannot be read: the others, and a line for each of those."""

from collections.abc import Iterable

from rich.console import Group, RenderableType

MOST_LINES = 20


class Shown(Group):
    """What a verb shows.

    Attributes:
        left_out: of each record that is not in it, a line that names it and says why.
        faults: of all else that is wrong, a line each.
    """

    def __init__(
        self, *parts: RenderableType, left_out: Iterable[str] = (), faults: Iterable[str] = ()
    ) -> None:
        super().__init__(*parts)
        self.left_out, self.faults = tuple(left_out), tuple(faults)


def lines(shown: Shown) -> list[str]:
    """What to tell a user is wrong: faults, the first that are left out, and how many are."""
    left_out = shown.left_out
    if not left_out:
        return list(shown.faults)
    number = f"{len(left_out)} record{'s are' if len(left_out) > 1 else ' is'} left out of this"
    return [*shown.faults, *(f"left out: {line}" for line in left_out[:MOST_LINES]), number]

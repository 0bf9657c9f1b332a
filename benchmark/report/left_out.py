"""What a verb shows when some records cannot be read: the others, and a line for each of those."""

from collections.abc import Iterable

from rich.console import Group, RenderableType

MOST_LINES = 20


class Shown(Group):
    """What a verb shows.

    Attributes:
        left_out: of each record that is not in it, a line that names it and says why.
    """

    def __init__(self, *parts: RenderableType, left_out: Iterable[str]) -> None:
        super().__init__(*parts)
        self.left_out = tuple(left_out)


def lines(left_out: tuple[str, ...]) -> list[str]:
    """What to tell a user of them: the first of them, and how many there are."""
    if not left_out:
        return []
    number = f"{len(left_out)} record{'s are' if len(left_out) > 1 else ' is'} left out of this"
    return [*(f"left out: {line}" for line in left_out[:MOST_LINES]), number]

"""A table of strings as the terminal shows it: whatever the width, no number is cut.

A table that is too wide has its headings broken, then its labels shortened, then rows and
columns exchanged, and at last is shown in parts that have as many columns as fit, in their order.
"""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

# Characters that a label keeps at least; more where that is not enough to tell labels apart.
SHORTEST = 12
CUT = "…"
# Of the width, what names of rows may take before they are broken.
SHARE_OF_NAMES = 1 / 3


@dataclass(frozen=True)
class FittedTable:
    """A table that looks for its form when the width is known.

    Attributes:
        table: of strings, with a named index.
        title: stands over it.
    """

    table: pd.DataFrame
    title: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or its parts."""
        width = options.max_width
        free = options.update(max_width=10**6)

        def fits(table: pd.DataFrame) -> bool:
            return console.measure(_shown(table, width), options=free).maximum <= width

        parts = _parts(self.table, fits)
        for number, part in enumerate(parts, start=1):
            title = self.title
            if title is not None and len(parts) > 1:
                title = f"{title} ({number} of {len(parts)})"
            yield _shown(part, width, title)


def _parts(table: pd.DataFrame, fits: Callable[[pd.DataFrame], bool]) -> list[pd.DataFrame]:
    """The table in the first form that fits, or in parts."""
    short = _with_short_labels(table)
    forms = [table, _with_broken_heads(table), short, _with_broken_heads(short)]
    if table.shape[0] < table.shape[1]:
        forms += [_with_broken_heads(_exchanged(form)) for form in (table, short)]
    whole = next((form for form in forms if fits(form)), None)
    if whole is not None:
        return [whole]
    return list(_blocks(_with_broken_heads(short), fits))


def _exchanged(table: pd.DataFrame) -> pd.DataFrame:
    return table.T.rename_axis(table.index.name, axis=0)


def _blocks(table: pd.DataFrame, fits: Callable[[pd.DataFrame], bool]) -> Iterator[pd.DataFrame]:
    """Parts with one column or more, each with as many as fit."""
    first = 0
    while first < table.shape[1]:
        last = first + 1
        while last < table.shape[1] and fits(table.iloc[:, first : last + 1]):
            last += 1
        yield table.iloc[:, first:last]
        first = last


def _shown(table: pd.DataFrame, width: int, title: str | None = None) -> Table:
    """With names of rows that may be broken, and all else as wide as it is."""
    shown = Table(title=title)
    most = max(SHORTEST, int(width * SHARE_OF_NAMES))
    shown.add_column(str(table.index.name), overflow="fold", max_width=most)
    for name in table.columns:
        shown.add_column(str(name), no_wrap=True)
    for name, cells in table.iterrows():
        shown.add_row(str(name), *map(str, cells))
    return shown


def _with_broken_heads(table: pd.DataFrame) -> pd.DataFrame:
    """With headings broken, at spaces if they can be, where they are wider than what is below."""
    heads = []
    for position, name in enumerate(map(str, table.columns)):
        below = max((cell_len(str(cell)) for cell in table.iloc[:, position]), default=0)
        heads.append("\n".join(textwrap.wrap(name, max(below, SHORTEST))))
    return table.set_axis(heads, axis=1)


def _with_short_labels(table: pd.DataFrame) -> pd.DataFrame:
    """With labels of rows and columns shortened from the left."""
    rows, columns = (shortened([str(name) for name in axis]) for axis in table.axes)
    short = table.set_axis(rows, axis=0).set_axis(columns, axis=1)
    return short.rename_axis(table.index.name, axis=0)


def shortened(labels: Sequence[str]) -> list[str]:
    """Labels without their beginnings, where what is left tells them apart.

    A label is cut after a slash or a space, so that folders keep whole names.
    """
    longest = max(map(len, labels), default=0)
    for least in range(SHORTEST, longest):
        short = [_end(label, least) for label in labels]
        if len(set(short)) == len(set(labels)):
            return short
    return list(labels)


def _end(label: str, least: int) -> str:
    """The last words or folders of a label, of `least` characters or more."""
    before = max(len(label) - least, 0)
    start = max(label.rfind(separator, 0, before) for separator in "/ ") + 1
    return CUT + label[start:] if start else label

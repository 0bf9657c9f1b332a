"""What a report of a kind of study is made of: named tables and named pictures."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pandas as pd
from matplotlib.figure import Figure

from benchmark.report.frame import Results


@dataclass(frozen=True)
class StudyTable:
    """A table of strings.

    Attributes:
        name: of its files.
        title: as the terminal heads it.
        table: with a named index.
    """

    name: str
    title: str
    table: pd.DataFrame


@dataclass(frozen=True)
class StudyFigure:
    """A picture and the data that it shows.

    Attributes:
        words: they make the name of its files.
        figure: the picture.
        data: what it shows.
    """

    words: tuple[str, ...]
    figure: Figure
    data: pd.DataFrame


@runtime_checkable
class StudyReport(Protocol):
    """A module that reports on one kind of study."""

    def tables(self, results: Results, *, published: bool) -> list[StudyTable]:
        """The tables, with what papers published beside them if asked for."""
        ...

    def figures(self, results: Results, *, published: bool) -> list[StudyFigure]:
        """The pictures."""
        ...

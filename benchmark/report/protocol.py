"""What a report of one kind of records is: a module that makes tables and pictures of them.

The report of circuits and that of every study keep it alike, so that no verb asks what a record is
about.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pandas as pd

from benchmark.report.frame import Results
from benchmark.report.published.board_rows import board_rows
from benchmark.report.score import Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure


USUAL_SCORE = Score("log_area", 0.1)


@dataclass(frozen=True)
class Asked:
    """What a verb is asked for; a report looks at what concerns it.

    Attributes:
        score: by which circuits are compared.
        evaluation: the only evaluation ablation to show, or None for all.
        published: whether what papers published is shown beside.
        board_rows: a file, or a folder, of rows of MIB's board that are shown beside, too.
        allow_missing: whether to compare although cells are missing.
        circuits: whether circuits are drawn.
    """

    score: Score = USUAL_SCORE
    evaluation: str | None = None
    published: bool = False
    board_rows: str | None = None
    allow_missing: bool = False
    circuits: bool = True

    @cached_property
    def more_published(self) -> pd.DataFrame | None:
        """The numbers of the board's rows.

        Raises:
            UserError: there are none in the file or folder.
        """
        return None if self.board_rows is None else board_rows(Path(self.board_rows))


@dataclass(frozen=True)
class ReportTable:
    """A table of strings.

    Attributes:
        words: they make the name of its files.
        title: as the terminal heads it.
        table: with a named index.
        data: what its files hold, if that is more than the terminal shows.
        note: a footnote.
    """

    words: tuple[str, ...]
    title: str
    table: pd.DataFrame
    data: pd.DataFrame | None = None
    note: str = ""


@dataclass(frozen=True)
class ReportFigure:
    """A picture and the data that it shows.

    Attributes:
        words: they make the name of its files.
        figure: the picture.
        data: what it shows.
    """

    words: tuple[str, ...]
    figure: "Figure"
    data: pd.DataFrame


@runtime_checkable
class Report(Protocol):
    """A module that reports on one kind of records."""

    def tables(self, results: Results, asked: Asked) -> Iterable[ReportTable]:
        """The tables.

        Raises:
            UserError: there is nothing to compare, or what there is cannot be compared.
        """
        ...

    def figures(self, results: Results, asked: Asked) -> Iterable[ReportFigure]:
        """The pictures, of which each may be made when it is asked for.

        Raises:
            UserError: what there is cannot be compared.
        """
        ...

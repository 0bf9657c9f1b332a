"""The report of circuits: the leaderboard, and pictures of curves and of the circuits themselves.

Each is imported when it is made: tables need no matplotlib.
"""

from collections.abc import Iterable

from benchmark.report.circuits.measures import QUANTITIES, measure
from benchmark.report.frame import Results
from benchmark.report.protocol import Asked, ReportFigure, ReportTable

__all__ = ["QUANTITIES", "figures", "measure", "tables"]


def tables(results: Results, asked: Asked) -> Iterable[ReportTable]:
    """Methods by tasks and models; see `board`."""
    from benchmark.report.circuits import board

    return board.tables(results, asked)


def figures(results: Results, asked: Asked) -> Iterable[ReportFigure]:
    """Curves, costs, a map of scores, and circuits; see `pictures`."""
    from benchmark.report.circuits import pictures

    return pictures.figures(results, asked)

"""Reports of studies by their kind; a kind without a report of its own gets its summaries."""

from collections.abc import Callable
from typing import TypeVar, cast

from benchmark.errors import UserError
from benchmark.report import components, missed_effects, recall, summaries
from benchmark.report.frame import Results
from benchmark.report.study_report import StudyFigure, StudyReport, StudyTable

Made = TypeVar("Made")
REPORTS = {
    "components": cast(StudyReport, components),
    "node_importance": cast(StudyReport, recall),
    "missed_effects": cast(StudyReport, missed_effects),
}


def study_tables(results: Results, *, published: bool) -> list[StudyTable]:
    """The tables of records of one kind of study."""
    return _report(results).tables(results, published=published)


def study_figures(results: Results, *, published: bool) -> list[StudyFigure]:
    """The pictures of records of one kind of study."""
    return _report(results).figures(results, published=published)


def of_each_kind(
    loaded: dict[str, Results], make: Callable[[str, Results], list[Made]]
) -> tuple[list[Made], list[str]]:
    """What can be made of records of every kind, and why nothing can of some.

    Raises:
        UserError: nothing can be made of any kind.
    """
    made: list[Made] = []
    refused: dict[str, UserError] = {}
    for kind, results in loaded.items():
        try:
            made += make(kind, results)
        except UserError as error:
            refused[kind] = error
    if len(refused) == len(loaded):
        raise next(iter(refused.values()))
    return made, [f"nothing on {kind}: {error}" for kind, error in refused.items()]


def _report(results: Results) -> StudyReport:
    return REPORTS.get(results.done[0].kind, cast(StudyReport, summaries))

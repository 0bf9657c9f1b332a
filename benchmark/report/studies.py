"""Reports of studies by their kind; a kind without a report of its own gets its summaries."""

from typing import cast

from benchmark.report import components, missed_effects, recall, summaries
from benchmark.report.frame import Results
from benchmark.report.study_report import StudyFigure, StudyReport, StudyTable

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


def _report(results: Results) -> StudyReport:
    return REPORTS.get(results.done[0].kind, cast(StudyReport, summaries))

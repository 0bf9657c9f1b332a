"""Reports of studies by their kind; a kind without a report of its own gets its summaries."""

from collections.abc import Callable
from importlib import import_module
from typing import TypeVar, cast

import pandas as pd

from benchmark.errors import UserError
from benchmark.report.frame import KINDS, Results
from benchmark.report.study import StudyFigure, StudyReport, StudyTable

Made = TypeVar("Made")
REPORTS = {
    "components": "methods.importance.report.components.report",
    "node_importance": "methods.importance.report.recall",
    "missed_effects": "methods.importance.report.missed_effects",
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
    name = REPORTS.get(results.done[0].kind, __name__)
    return cast(StudyReport, import_module(name))


def tables(results: Results, *, published: bool) -> list[StudyTable]:
    """One table with a row for each record."""
    rows = [
        {**results.labels[record.key], "seed": str(record.config["seed"])}
        | {name: f"{value:.4g}" for name, value in record.summary.items()}
        for record in results.done
    ]
    table = pd.DataFrame(rows).fillna("-")
    kind = results.done[0].kind
    return [StudyTable(kind, kind, table.set_index("method")[[*_places(table)]])]


def figures(results: Results, *, published: bool) -> list[StudyFigure]:
    """None: what the numbers mean is not known here."""
    return []


def _places(table: pd.DataFrame) -> list[str]:
    """The columns, without names that all records share."""
    return [
        str(name)
        for name in table.columns
        if name != "method" and (name not in (*KINDS, "seed") or table[name].nunique() > 1)
    ]

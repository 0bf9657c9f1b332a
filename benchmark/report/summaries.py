"""The report of any study: the few numbers that sum up each record."""

import pandas as pd

from benchmark.report.frame import KINDS, Results
from benchmark.report.study_report import StudyFigure, StudyTable


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

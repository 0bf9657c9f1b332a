"""The report of a kind of study that has none of its own: a table of its summaries."""

import pandas as pd

from benchmark.records.names import AXES
from benchmark.report.frame import Results
from benchmark.report.protocol import Asked, ReportFigure, ReportTable


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """One table with a row for each record."""
    rows = [
        {**results.labels[record.key], "seed": str(record.config["seed"])}
        | {name: f"{value:.4g}" for name, value in record.summary.items()}
        for record in results.done
    ]
    table = pd.DataFrame(rows).fillna("-")
    kind = results.done[0].kind
    return [ReportTable((kind,), kind, table.set_index("method")[[*_columns(table)]])]


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """None: what the numbers mean is not known here."""
    return []


def _columns(table: pd.DataFrame) -> list[str]:
    """The columns, without names that all records share."""
    return [
        str(name)
        for name in table.columns
        if name != "method" and (name not in (*AXES, "seed") or table[name].nunique() > 1)
    ]

"""The page of one record: all that is known of it, and the command that makes it again."""

from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.records.changes import changed_settings, command_of
from benchmark.records.names import words
from benchmark.records.record import CIRCUITS, LOG, TABLE, Record, Status
from benchmark.report.page.circuits import circuits_of
from benchmark.report.page.templates import rendered

# Of a log and of a study's table, what a page shows; the rest is in the record's folder.
MOST_LINES, MOST_ROWS = 200, 200
DIGITS = "{:.5g}"


def record_part(record: Record, label: dict[str, str], folder: Path) -> dict[str, Any]:
    """The page as HTML, and the circuits of a finished record of circuits."""
    done = record.status is Status.done
    table = pd.read_parquet(folder / TABLE) if done else pd.DataFrame()
    html = rendered(
        "record.html",
        record=record,
        label=label,
        command=command_of(record),
        changed={key: words(value) for key, value in changed_settings(record).items()},
        cost={part: _costs(spent) for part, spent in record.cost.items()},
        numbers=_numbers(record),
        table=_cells(table.head(MOST_ROWS)),
        n_rows=len(table),
        log=_log(folder),
        has_circuits=done and record.kind == CIRCUITS,
    )
    circuits = circuits_of(record, folder) if done and record.kind == CIRCUITS else None
    return {"html": html, "circuits": circuits}


def _costs(spent: dict[str, float]) -> dict[str, str]:
    shown = {name: f"{value:,.4g}" for name, value in spent.items() if name != "peak_bytes"}
    if "peak_bytes" in spent:
        shown["peak memory"] = f"{spent['peak_bytes'] / 1e6:,.0f} MB"
    return shown


def _numbers(record: Record) -> dict[str, str]:
    """What sums a record up: areas, agreement with a known circuit, a study's summary."""
    areas = {
        f"{name} under {evaluation}": value
        for evaluation, found in record.areas.items()
        for name, value in found.items()
    }
    accuracy = {} if record.accuracy is None else {"accuracy of the whole model": record.accuracy}
    found = {**accuracy, **areas, **record.recovery, **record.summary}
    return {name: DIGITS.format(value) for name, value in found.items()}


def _cells(table: pd.DataFrame) -> dict[str, Any]:
    """Heads and rows of strings, without columns that are empty."""
    table = table.dropna(axis=1, how="all")
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return {"heads": [*map(str, table.columns)], "rows": rows}


def _cell(value: Any) -> str:  # noqa: ANN401 - a cell of any kind
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return "-"
    return DIGITS.format(value) if isinstance(value, float) else str(value)


def _log(folder: Path) -> str:
    """The end of what the run said."""
    path = folder / LOG
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    left_out = [f"({len(lines) - MOST_LINES} lines before)"] if len(lines) > MOST_LINES else []
    return "\n".join([*left_out, *lines[-MOST_LINES:]])

"""Rows of the user's own data, as they stand there: no reader guesses what a text may mean.

JSON and CSV are read here, since general readers turn texts that look like numbers, dates or
missing values into those. A number is kept as it is written, and known to be one.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.prompts.task import Split

NEEDED = ("clean", "corrupted", "answers", "wrong")
ANSWERS = ("answers", "wrong", "corrupted_answers")
FIELDS = (*NEEDED, "corrupted_answers", "subject", "split")
CSV, JSON = (".csv", ".tsv"), (".jsonl", ".json")
SAVED = ("dataset_info.json", "dataset_dict.json")
# More columns, or characters of a line, are no table of prompts.
MOST_COLUMNS, LONGEST_LINE = 1_000, 1_000_000
# A bar separates answers of a CSV cell, unless a backslash stands before it.
BAR = re.compile(r"(?<!\\)\|")

# Where a row stands ("mine.csv row 3"), and its fields.
Row = tuple[str, dict[str, Any]]


class Number(str):
    """A number as its file writes it."""

    __slots__ = ()


def read_rows(data: str, revision: str | None) -> list[Row]:
    """All rows of a file, of a folder that `Dataset.save_to_disk` wrote, or of a hub's dataset.

    Raises:
        UserError: they cannot be read, with the row that is at fault.
    """
    path = Path(data)
    ending = path.suffix.lower()
    try:
        if ending in (*CSV, *JSON):
            read = _csv_rows if ending in CSV else _json_rows
            rows = list(read(data, _text_of(path)))
        elif ending == ".parquet":
            rows = list(_parquet_rows(data, path))
        else:
            rows = list(_dataset_rows(data, revision, path))
    except UserError:
        raise
    except Exception as error:  # parsers, the hub and the file system share no base class
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"task.data={data!r} cannot be read as .jsonl, .json, .csv or .parquet, as a folder "
            f"of Dataset.save_to_disk, or as a dataset of the Hugging Face hub: {reason}"
        ) from error
    if not rows:
        raise UserError(f"{data} has no rows; every row needs {', '.join(NEEDED)}")
    return rows


def _text_of(path: Path) -> str:
    """The text of a file, without the mark that spreadsheets begin it with."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} line {line} is not UTF-8; save the file as UTF-8 (of a spreadsheet: as "
            "CSV UTF-8)"
        ) from error


def _json_rows(data: str, text: str) -> Iterator[Row]:
    """Objects, one a line or in one list."""
    if text.lstrip().startswith("["):
        parsed = list(enumerate(_parsed(text, data), start=1))
    else:
        lines = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
        too_long = [n for n, line in lines if len(line) > LONGEST_LINE]
        if too_long:
            raise UserError(f"{data} row {too_long[0]} has more than {LONGEST_LINE:,} characters")
        parsed = [(n, _parsed(line, f"{data} row {n}")) for n, line in lines]
    for number, row in parsed:
        if not isinstance(row, dict):
            raise UserError(
                f"{data} row {number} is no object; write {{...}} with {', '.join(NEEDED)}"
            )
        if len(row) > MOST_COLUMNS:
            _check_columns(data, list(row))
    if parsed:
        _check_columns(data, _fields_of(row for _, row in parsed))
    yield from ((f"{data} row {number}", row) for number, row in parsed)


def _fields_of(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _parsed(text: str, where: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where} is not JSON, or is cut off: {error}; write one object {{...}} a line"
        ) from error


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _csv_rows(data: str, text: str) -> Iterator[Row]:
    """Rows of a table with a header; in some countries spreadsheets part cells by semicolons."""
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        header = next(lines, [])
        if header:
            _check_columns(data, header)
        for number, cells in enumerate(lines, start=1):
            if not any(cells):
                continue
            where = f"{data} row {number}"
            if len(cells) != len(header):
                raise UserError(
                    f"{where} has {len(cells)} cells, and the header {len(header)}; put a text "
                    f'that holds {delimiter!r} into quotes: "..."'
                )
            row: dict[str, Any] = dict(zip(header, cells, strict=True))
            row |= {name: _apart(row[name], where) for name in ANSWERS if row.get(name)}
            yield where, row
    except csv.Error as error:
        raise UserError(f"{data} row {number + 1} is not CSV: {error}") from error


def _apart(cell: str, where: str) -> list[str]:
    """The answers of a cell, which bars separate."""
    answers = [answer.replace("\\|", "|") for answer in BAR.split(cell)]
    if not all(answers):
        raise UserError(
            f"{where} has the answers {cell!r}, of which bars leave one empty; for a bar that "
            "belongs to an answer write \\|"
        )
    return answers


def _parquet_rows(data: str, path: Path) -> Iterator[Row]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        columns = file.schema_arrow.names
        _check_columns(data, columns)
        rows = file.read([name for name in FIELDS if name in columns]).to_pylist()
    yield from ((f"{data} row {number}", row) for number, row in enumerate(rows, start=1))


def _dataset_rows(data: str, revision: str | None, path: Path) -> Iterator[Row]:
    import datasets

    if any((path / name).is_file() for name in SAVED):
        loaded: Any = datasets.load_from_disk(data)
        guessed = False
    elif path.is_dir():
        raise UserError(
            f"task.data={data!r} is a folder that Dataset.save_to_disk did not write; give a file"
        )
    else:
        loaded, guessed = datasets.load_dataset(data, revision=revision), True
    parts = loaded if isinstance(loaded, dict) else {"": loaded}
    for name, part in parts.items():
        _check_columns(data, part.column_names)
        rows = part.select_columns([name for name in FIELDS if name in part.column_names])
        of_part = {"split": name} if len(parts) > 1 and name in Split.__members__ else {}
        for number, row in enumerate(rows.to_list(), start=1):
            where = " ".join([data, *filter(None, [name]), f"row {number}"])
            if guessed:
                _refuse_guessed(where, row)
            yield where, of_part | row


def _refuse_guessed(where: str, row: dict[str, Any]) -> None:
    """Readers of the hub's files turn texts into numbers and dates, and lose their spaces."""
    for name in ANSWERS:
        value = row.get(name)
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, str | None):
                raise UserError(
                    f"{where} has {one!r} in {name!r}, which may have been a text; make it a text "
                    "there, or give the dataset as a file"
                )


def _check_columns(data: str, columns: Sequence[str]) -> None:
    if len(columns) > MOST_COLUMNS:
        raise UserError(
            f"{data} has more than {MOST_COLUMNS:,} columns; rows need {', '.join(NEEDED)}"
        )
    repeated = [name for name in FIELDS if columns.count(name) > 1]
    if repeated:
        raise UserError(f"{data} has two columns {repeated[0]!r}; leave one")
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        listed = ", ".join(columns)
        raise UserError(
            f"{data} has no field {missing[0]!r}; rows need {', '.join(NEEDED)}, and these have "
            f"{listed[:300]}"
        )

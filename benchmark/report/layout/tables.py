"""A table of strings as Markdown, CSV and LaTeX; `fitted` is for the terminal.

Names come from users and may hold any characters; each form escapes what it would read as its own.
"""

import html
import re
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.errors import UserError
from benchmark.files import replacing

DASH = "-"
# What a spreadsheet would run as a formula; a number with a sign, and a sign alone, is none.
FORMULA = re.compile(r"^\s*(?:[=@]|[+-](?!\s*$|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?:\s|$)))", re.I)
SPACES = re.compile(r"\s+")


def write_table(table: pd.DataFrame, stem: Path, note: str = "") -> list[Path]:
    """Write the table beside `stem` with the endings md, csv and tex; return the paths.

    A footnote stands below the table, and not in the CSV.

    Raises:
        UserError: the directory cannot be written.
    """
    texts = {"md": _markdown(table), "csv": safe_csv(table), "tex": _latex(table)}
    if note:
        texts["md"] += f"\n{_markdown_text(note)}\n"
        texts["tex"] += _latex_note(note)
    paths = []
    for ending, text in texts.items():
        paths.append(stem.with_name(f"{stem.name}.{ending}"))
        try:
            with replacing(paths[-1]) as temporary:
                temporary.write_text(text)
        except OSError as error:
            raise UserError(f"directory={stem.parent} cannot be written: {error}") from error
    return paths


def _heads(table: pd.DataFrame) -> list[str]:
    return [str(table.index.name), *map(str, table.columns)]


def _rows(table: pd.DataFrame) -> list[list[str]]:
    return [[str(name), *map(str, row)] for name, row in table.iterrows()]


def safe_csv(table: pd.DataFrame, **form: Any) -> str:  # noqa: ANN401 - pandas's own settings
    """CSV in which no text is a formula; `form` is passed on to pandas."""
    texts = table.select_dtypes(exclude="number").columns
    safe = table.assign(**{name: table[name].map(_no_formula) for name in texts})
    return safe.rename(index=_no_formula, columns=_no_formula).to_csv(**form)


def _no_formula(value: Any) -> Any:  # noqa: ANN401 - a cell of any kind
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _markdown(table: pd.DataFrame) -> str:
    heads = _heads(table)
    lines = [_markdown_line(cells) for cells in (heads, *_rows(table))]
    return "".join([lines[0], "| " + " | ".join(["---"] * len(heads)) + " |\n", *lines[1:]])


def _markdown_line(cells: list[str]) -> str:
    """Cells without line breaks, columns, tags or links of their own."""
    return "| " + " | ".join(map(_markdown_text, cells)) + " |\n"


def _markdown_text(text: str) -> str:
    plain = html.escape(SPACES.sub(" ", text), quote=False)
    return re.sub(r"([\\|`*\[\]])", r"\\\1", plain)


def _latex(table: pd.DataFrame) -> str:
    """A tabular with the rules of booktabs."""
    heads = _heads(table)
    plain = pd.DataFrame(_rows(table), columns=heads).map(lambda cell: SPACES.sub(" ", cell))
    columns = "l" + "r" * (len(heads) - 1)
    return plain.to_latex(index=False, escape=True, column_format=columns)


def _latex_note(note: str) -> str:
    """A paragraph, escaped as the cells of tables are."""
    alone = pd.DataFrame([[SPACES.sub(" ", note)]]).to_latex(index=False, header=False, escape=True)
    (row,) = (line for line in alone.splitlines() if line.endswith(r" \\"))
    text = row.removesuffix(r" \\")
    return f"\\par {text}\n"

"""A table of strings for the terminal, and as Markdown, CSV and LaTeX."""

from pathlib import Path

import pandas as pd
from rich.table import Table

from benchmark.errors import UserError
from benchmark.files import replacing

DASH = "-"
LATEX = str.maketrans({"_": r"\_", "±": r"$\pm$", "%": r"\%", "&": r"\&"})


def terminal(table: pd.DataFrame, title: str | None = None) -> Table:
    """The table as the terminal shows it."""
    shown = Table(*_heads(table), title=title)
    for cells in _rows(table):
        shown.add_row(*cells)
    return shown


def write_table(table: pd.DataFrame, stem: Path) -> list[Path]:
    """Write the table beside `stem` with the endings md, csv and tex; return the paths.

    Raises:
        UserError: the directory cannot be written.
    """
    texts = {"md": _markdown(table), "csv": table.to_csv(), "tex": _latex(table)}
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


def _markdown(table: pd.DataFrame) -> str:
    heads = _heads(table)
    lines = [heads, ["---"] * len(heads), *_rows(table)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _latex(table: pd.DataFrame) -> str:
    def line(cells: list[str]) -> str:
        return " & ".join(cell.translate(LATEX) for cell in cells) + r" \\" + "\n"

    heads = _heads(table)
    columns = "l" + "r" * (len(heads) - 1)
    rows = "".join(line(cells) for cells in _rows(table))
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\hline\n{line(heads)}\\hline\n{rows}\\hline\n"
        "\\end{tabular}\n"
    )

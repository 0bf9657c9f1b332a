"""The page of a kind of study: the tables and pictures of its report."""

import base64
from io import BytesIO
from typing import Any

import matplotlib as mpl

from benchmark.errors import UserError
from benchmark.report.frame import Results
from benchmark.report.kinds import figures_of, tables_of
from benchmark.report.page.templates import rendered
from benchmark.report.protocol import Asked, ReportFigure

# A kind of many facts has a picture of each; a page shows the first.
MOST_PICTURES = 40


def study_part(kind: str, results: Results, *, pictures: bool) -> dict[str, Any]:
    """The page as HTML: with a switch for what was published, if anything was."""
    alone, beside = (
        _content(results, Asked(allow_missing=True, published=published), pictures=pictures)
        for published in (False, True)
    )
    html = rendered(
        "study.html",
        kind=kind,
        contents={"alone": alone} if alone == beside else {"alone": alone, "beside": beside},
        records=[(record.key, results.labels[record.key], record.config["seed"])
                 for record in results.done],
    )  # fmt: skip
    return {"html": html}


def _content(results: Results, asked: Asked, *, pictures: bool) -> dict[str, Any]:
    refused = []
    tables: list[Any] = []
    shown: list[Any] = []
    try:
        tables = [(made.title, _rows(made.table), made.note) for made in tables_of(results, asked)]
        shown = list(figures_of(results, asked)) if pictures else []
    except UserError as error:
        refused.append(str(error))
    return {
        "refused": refused,
        "tables": tables,
        "pictures": [(" ".join(made.words), _picture(made)) for made in shown[:MOST_PICTURES]],
        "n_left_out": max(0, len(shown) - MOST_PICTURES),
    }


def _rows(table: Any) -> dict[str, Any]:  # noqa: ANN401 - pandas's types
    heads = [str(table.index.name), *map(str, table.columns)]
    return {"heads": heads, "rows": [[str(name), *map(str, row)] for name, row in table.iterrows()]}


def _picture(made: ReportFigure) -> str:
    """An image as a URL that holds it; the same data give the same."""
    written = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "ablation-bench"}):
        made.figure.savefig(written, format="svg", bbox_inches="tight", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(written.getvalue()).decode()

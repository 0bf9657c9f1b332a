"""What Li & Janson 2024 published on single components, in tables of their own.

Their model is GPT-2 small and their numbers are of several origins, of which each has its tables;
none is put among ours.
"""

from collections.abc import Collection

import pandas as pd

from benchmark.report.layout.looks import ablation_place
from benchmark.report.layout.tables import DASH
from benchmark.report.protocol import ReportTable
from benchmark.report.published.numbers import COMPONENT_PROVENANCE, published_components

MODEL = "gpt2"
WORDS = {
    "rank_correlation": "rank correlation with {other}",
    "log_correlation": "log correlation with {other}",
    "median_ratio": "median ratio of {other}",
    "mean_loss_gap": "mean gap of heads and MLPs",
    "median_loss_gap": "median gap of heads and MLPs",
    "loss_gap": "gap of {component}",
}
PUBLISHED_TABLE = ["task", "source", "where", "provenance"]


def published_tables(cells: Collection[tuple[str, str]]) -> list[ReportTable]:
    """For families of tasks on GPT-2 small, a table for each origin; columns are ablations."""
    rows = published_components()
    rows = rows[[(family, MODEL) in cells for family in rows["task"]]]
    made = []
    for (task, source, where, tag), found in rows.groupby(PUBLISHED_TABLE, sort=False):
        read_in = COMPONENT_PROVENANCE[tag]
        title = f"published: {source}, {where} ({read_in}): {task} on {MODEL}{_notes(found)}"
        words = "published", "components", task, where
        made.append(ReportTable(words, title, _table(found)))
    return made


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    named = rows.assign(
        number=[WORDS[row["metric"]].format(**row) for _, row in rows.iterrows()],
        shown=[
            f"{100 * row.value:g} %" if row.metric == "median_ratio" else f"{row.value:g}"
            for row in rows.itertuples()
        ],
    )
    table = named.pivot_table("shown", "number", "ablation", aggfunc="first", sort=False)
    return table.fillna(DASH)[sorted(table, key=ablation_place)]


def _notes(rows: pd.DataFrame) -> str:
    return "".join(f"; {note}" for note in rows["note"].unique() if note)

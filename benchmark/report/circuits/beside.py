"""What papers published for the score and the tasks of a leaderboard, in tables of its own.

Protocols differ from ours and from each other, so no number is ranked, averaged or put among ours.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from benchmark.report.layout.tables import DASH
from benchmark.report.protocol import ReportTable
from benchmark.report.published.numbers import PROVENANCE, published_scores
from benchmark.report.score import Score

WARNING = "published, by a protocol of its own"
ACROSS, DOWN = ("metric", "task", "model", "size"), ("objective", "ablation", "note")
WORDS = {"size": "size {}", "objective": "objective {}", "ablation": "found under {}"}
PUBLISHED_CURVE = ["source", "where", "provenance", "metric"]


def published_rows(
    score: Score, cells: Collection[tuple[str, str]], more: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Published numbers of a score, in the columns of `COLUMNS`, with provenance in words.

    AUROCs of both kinds, of shares and of pessimistic staircases, are given for either. A mean over
    models belongs to none.

    Args:
        score: the score.
        cells: families of tasks with models; a number is given only for the model that it is of.
        more: further numbers, in the columns of `COLUMNS`.
    """
    rows = pd.concat([published_scores(), more], ignore_index=True)
    wanted = [_kind(name) for name in score.parts.values()]
    rows = rows[[_kind(metric) in wanted for metric in rows["metric"]]]
    places = zip(rows["family"], rows["model"], strict=True)
    ours = rows[np.fromiter((place in cells for place in places), dtype=bool)]
    return ours.assign(provenance=ours["provenance"].map(PROVENANCE))


def published_tables(rows: pd.DataFrame, score: Score) -> list[ReportTable]:
    """A table for each metric and place that it was read in; rows are methods.

    The title says what all numbers of a table share; its rows and columns say the rest, and its
    files have all that is known of each. Numbers at several sizes have a table for each task and
    model.
    """
    tables = []
    curve = (rows["task"] + " " + rows["model"]).where(rows["size"] != "", "")
    origins = rows.groupby([*PUBLISHED_CURVE, curve.rename("curve")], sort=False)
    for (source, where, read_in, metric, one), found in origins:
        varying = [fact for fact in (*ACROSS, *DOWN) if found[fact].nunique() > 1]
        named = found.assign(
            shown=found["value"].map("{:g}".format),
            row=found["method"] + _joined(found, DOWN, varying, ", ").map(_in_brackets),
            column=_joined(found, ACROSS, varying, " / ").replace("", "value"),
        )
        table = named.pivot_table("shown", "row", "column", aggfunc="first", sort=False)
        shared = {fact: found[fact].iloc[0] for fact in (*ACROSS, *DOWN) if fact not in varying}
        words = [WORDS.get(fact, "{}").format(value) for fact, value in shared.items() if value]
        title = f"{WARNING}: {source}, {where} ({read_in}): {', '.join(words)}"
        stem = tuple(filter(None, ("published", *score.words, metric, source, where, one)))
        table = table.fillna(DASH).rename_axis("method")
        tables.append(ReportTable(stem, title, table, found.set_index("method")))
    return tables


def _joined(rows: pd.DataFrame, facts: Sequence[str], varying: list[str], by: str) -> pd.Series:
    chosen = [fact for fact in facts if fact in varying]
    return rows[chosen].apply(lambda row: by.join(filter(None, row)), axis=1, result_type="reduce")


def _in_brackets(words: str) -> str:
    return f" ({words})" if words else ""


def _kind(metric: str) -> str:
    return metric.removesuffix("_pessimistic")

"""What papers published for the score and the tasks of a leaderboard, in tables of its own.

Protocols differ from ours and from each other, so no number is ranked, averaged or put among ours.
"""

from collections.abc import Collection, Sequence

import pandas as pd

from benchmark.report.circuits.scores import Score
from benchmark.report.published.numbers import PROVENANCE, published_scores
from benchmark.report.tables import DASH

WARNING = "Published numbers follow, each by its own protocol: not comparable with those above."
MEAN = "all"
ACROSS, DOWN = ("metric", "task", "model", "size"), ("objective", "ablation", "note")
WORDS = {"size": "size {}", "objective": "objective {}", "ablation": "found under {}"}
PUBLISHED_CURVE = ["source", "where", "provenance", "metric"]


def published_rows(score: Score, tasks: Collection[str]) -> pd.DataFrame:
    """Published numbers of a score for tasks of the same families, in the columns of `COLUMNS`.

    AUROCs of both kinds, of shares and of pessimistic staircases, are given for either. Means over
    tasks are given where a task of that source is.
    """
    rows = published_scores()
    wanted = [_kind(name) for name in score.parts.values()]
    rows = rows[[_kind(metric) in wanted for metric in rows["metric"]]]
    ours = rows["family"].map(lambda family: any(task.startswith(family) for task in tasks))
    ours = ours.astype(bool)
    means = (rows["family"] == MEAN) & rows["source"].isin(rows["source"][ours])
    read_in = rows["provenance"].map(PROVENANCE)
    return rows.assign(provenance=read_in)[ours | means]


def published_tables(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """A title and a table for each metric and place that it was read in; rows are methods.

    The title says what all numbers of a table share; its rows and columns say the rest. Numbers at
    several sizes have a table for each task and model.
    """
    tables = []
    curve = (rows["task"] + rows["model"]).where(rows["size"] != "", "")
    for (source, where, read_in, *_), found in rows.groupby([*PUBLISHED_CURVE, curve], sort=False):
        varying = [kind for kind in (*ACROSS, *DOWN) if found[kind].nunique() > 1]
        named = found.assign(
            shown=found["value"].map("{:g}".format),
            row=found["method"] + _joined(found, DOWN, varying, ", ").map(_in_brackets),
            column=_joined(found, ACROSS, varying, " / ").replace("", "value"),
        )
        table = named.pivot_table("shown", "row", "column", aggfunc="first", sort=False)
        shared = {kind: found[kind].iloc[0] for kind in (*ACROSS, *DOWN) if kind not in varying}
        words = [WORDS.get(kind, "{}").format(value) for kind, value in shared.items() if value]
        title = f"{source}, {where} ({read_in}): {', '.join(words)}"
        tables.append((title, table.fillna(DASH).rename_axis("method")))
    return tables


def _joined(rows: pd.DataFrame, kinds: Sequence[str], varying: list[str], by: str) -> pd.Series:
    chosen = [kind for kind in kinds if kind in varying]
    return rows[chosen].apply(lambda row: by.join(filter(None, row)), axis=1, result_type="reduce")


def _in_brackets(words: str) -> str:
    return f" ({words})" if words else ""


def _kind(metric: str) -> str:
    return metric.removesuffix("_pessimistic")

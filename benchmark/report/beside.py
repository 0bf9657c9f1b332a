"""What papers published for the score and the tasks of a leaderboard, as a table of its own.

Protocols differ from ours and from each other, so no row is ranked, averaged or put among ours.
"""

from collections.abc import Iterable

import pandas as pd

from benchmark.report.published import PROVENANCE, published_scores
from benchmark.report.scores import Score

SHOWN = (
    "metric", "task", "model", "ablation", "objective", "size", "value", "provenance", "source",
    "where", "note",
)  # fmt: skip
HEADS = {"ablation": "found under", "provenance": "read in"}
MEAN = "all"


def published_beside(score: Score, tasks: Iterable[str]) -> pd.DataFrame:
    """Published numbers of a score for tasks of the same families; rows are methods.

    AUROCs of both kinds, of shares and of pessimistic staircases, are shown for either. Means over
    tasks are shown where a task of that source is.
    """
    rows = published_scores()
    wanted = [_kind(name) for name in score.parts.values()]
    rows = rows[[_kind(metric) in wanted for metric in rows["metric"]]]
    ours = [any(task.startswith(family) for task in tasks) for family in rows["family"]]
    means = (rows["family"] == MEAN) & rows["source"].isin(rows["source"][ours])
    rows = rows[ours | means].sort_values(["metric", "task", "model"], kind="stable")
    shown = rows.assign(
        provenance=rows["provenance"].map(PROVENANCE), value=rows["value"].map("{:g}".format)
    )
    return shown.set_index("method")[list(SHOWN)].rename(columns=HEADS)


def _kind(metric: str) -> str:
    return metric.removesuffix("_pessimistic")

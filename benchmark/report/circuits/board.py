"""Circuits compared: methods by tasks and models for one score, with ranks and costs.

A method that cannot do a column has a dash there, and no mean is taken over dashes.
"""

import pandas as pd

from benchmark.errors import UserError
from benchmark.report.circuits.beside import published_rows, published_tables
from benchmark.report.circuits.noise import Noise
from benchmark.report.circuits.scores import column_names, row_names, score_table, where_known
from benchmark.report.circuits.stability import Stability
from benchmark.report.circuits.weak import Weak
from benchmark.report.comparable import refuse_incomparable
from benchmark.report.frame import Results
from benchmark.report.layout.tables import DASH
from benchmark.report.protocol import Asked, ReportTable
from benchmark.report.published.belonging import published_cells
from benchmark.report.score import NEEDS, Score
from benchmark.statistics.student import half_interval


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """The leaderboard, and what papers published, if asked for.

    Raises:
        UserError: there is nothing to compare, or what there is cannot be compared.
    """
    score = asked.score
    scores = score_table(results, score)
    if asked.evaluation is not None:
        asked_for = scores["evaluation"].str.split(" ").str[0] == asked.evaluation
        scores = scores[asked_for | (scores["evaluation"] == asked.evaluation)]
    if scores.empty:
        raise UserError(f"no record was evaluated under evaluation={asked.evaluation}")
    refuse_incomparable(results, scores, allow_missing=asked.allow_missing)
    if scores["value"].isna().all():
        raise UserError(f"score={score.name} is known for no record: {NEEDS[score.name]}")
    words = "leaderboard", *score.words, asked.evaluation or ""
    title, published = score.title, []
    if asked.published:
        numbers = published_rows(score, published_cells(results.done), asked.more_published)
        published = published_tables(numbers, score)
        title += "" if published else " (nothing published of these tasks on these models)"
    weak, noise = Weak.of(results), Noise.of(results, score)
    rows = where_known(scores, score)
    marked = weak.marked(rows)
    marked = marked.assign(task=marked["task"] + noise.marks(rows))
    table = with_stability(leaderboard(marked, score), results, marked, score.at_share)
    note = "\n".join(filter(None, (weak.note(), noise.note(), *results.repeated)))
    return [ReportTable(tuple(filter(None, words)), title, table, note=note), *published]


def leaderboard(scores: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Rows are methods, best mean rank first; columns are tasks, models and ablations.

    Columns are in the order in which their first cell `ended`, which a grid does as it was typed.

    Several seeds of a cell are averaged, and their interval is that of the mean (Student's t, 95
    %); a single seed shows its own interval. Methods with a dash have no mean rank, and take no
    part in the others'.
    """
    scores = scores.assign(column=column_names(scores), row=row_names(scores))
    cells = scores.groupby(["row", "column"]).apply(_cell, score.form, include_groups=False)
    order = scores.groupby("column")["ended"].min().sort_values(kind="stable").index
    values = cells["value"].unstack("column")[order]
    complete = values[values.notna().all(axis=1)]
    if len(complete) == 1 < len(values):
        # Alone among methods that the score is not known of, it is not the first of them.
        complete = complete.iloc[:0]
    rank = complete.rank(axis=0, ascending=score.lower_is_better).mean(axis=1).reindex(values.index)
    shown = cells["shown"].unstack("column").reindex(columns=values.columns).fillna(DASH)
    # A mean over what is there would favour who skipped the hard columns.
    each = scores.drop_duplicates(["row", "key"]).groupby("row")[["passes", "seconds"]].mean()
    cost = each.reindex(values.index).where(values.notna().all(axis=1))
    for name, numbers, form in (
        ("mean rank", rank, ".2f"),
        ("passes", cost["passes"], ",.0f"),
        ("seconds", cost["seconds"], ",.1f"),
    ):
        shown[name] = [DASH if pd.isna(number) else format(number, form) for number in numbers]
    return shown.loc[rank.sort_values(na_position="last").index].rename_axis("method")


def with_stability(
    table: pd.DataFrame, results: Results, scores: pd.DataFrame, at_share: float
) -> pd.DataFrame:
    """The leaderboard with how alike circuits and rankings are between seeds, where there are some.

    Means over all tasks, models and seeds; a method that has not all of the columns has a dash.
    """
    stability = Stability(results)
    once = scores.assign(row=row_names(scores)).drop_duplicates(["row", "key"])
    records = [results.records[key] for key in once["key"]]
    complete = ~(table == DASH).iloc[:, : table.columns.get_loc("mean rank")].any(axis=1)
    for name, values in (
        (f"Jaccard at {at_share:.0%}", [stability.jaccard(one, at_share) for one in records]),
        ("rank correlation", [stability.rank_correlation(one) for one in records]),
    ):
        mean = once.assign(alike=values).groupby("row")["alike"].mean().reindex(table.index)
        if mean.notna().any():
            known = mean.where(complete)
            table[name] = [DASH if pd.isna(one) else f"{one:.2f}" for one in known]
    return table


def _cell(rows: pd.DataFrame, form: str) -> pd.Series:
    value = rows["value"].mean(skipna=False)
    if pd.isna(value):
        return pd.Series({"value": value, "shown": DASH})
    if len(rows) > 1:
        half = half_interval(rows["value"].to_numpy(float))
        return pd.Series({"value": value, "shown": f"{value:{form}} ±{half:{form}}"})
    low, high = rows["low"].iloc[0], rows["high"].iloc[0]
    interval = "" if pd.isna(low) else f" [{low:{form}}, {high:{form}}]"
    return pd.Series({"value": value, "shown": f"{value:{form}}{interval}"})

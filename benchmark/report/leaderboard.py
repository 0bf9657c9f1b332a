"""The leaderboard: methods by tasks and models for one score, with ranks and costs.

It compares only what can be compared: cells of one column must share prompts, versions, sizes and
the recipe of the evaluation, and no cell may be missing, unless holes are allowed. A method that
cannot do a column has a dash there, and no mean is taken over dashes.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import RenderableType
from scipy.stats import t

from benchmark.errors import UserError
from benchmark.files import file_stem
from benchmark.records.record import CIRCUITS
from benchmark.report.circuits.beside import WARNING, published_rows, published_tables
from benchmark.report.circuits.scores import (
    AT_SHARE,
    NEEDS,
    SCORES,
    Score,
    score_table,
    where_known,
)
from benchmark.report.comparable import refuse_holes, refuse_mixtures
from benchmark.report.frame import Results, load_kinds
from benchmark.report.kinds import of_each_kind, study_tables
from benchmark.report.left_out import Shown
from benchmark.report.tables import DASH, terminal, write_table


@dataclass(frozen=True)
class Leaderboard:
    """Settings of `ablation-bench leaderboard`; see conf/leaderboard.yaml."""

    results_dir: str
    experiment_name: str | None
    score: str
    at_share: float
    evaluation: str | None
    allow_missing: bool
    published: bool
    directory: str

    def run(self) -> RenderableType:
        """Make the tables and write them as Markdown, CSV and LaTeX.

        Circuits are compared by the score; every kind of study has tables of its own.

        Raises:
            UserError: there is nothing to compare, or what there is cannot be compared.
        """
        score = Score(self.score, self.at_share)

        def make(kind: str, results: Results) -> list[RenderableType]:
            return self._circuits(results, score) if kind == CIRCUITS else self._study(results)

        loaded = load_kinds(Path(self.results_dir), self.experiment_name)
        shown, refused = of_each_kind(loaded, make)
        left_out = next(iter(loaded.values())).left_out
        return Shown(*shown, *refused, left_out=left_out)

    def _study(self, results: Results) -> list[RenderableType]:
        shown: list[RenderableType] = []
        for made in study_tables(results, published=self.published):
            shown += [terminal(made.table, made.title), *self._written(made.name, made.table)]
        return shown

    def _circuits(self, results: Results, score: Score) -> list[RenderableType]:
        scores = score_table(results, score)
        if self.evaluation is not None:
            scores = scores[scores["evaluation"] == self.evaluation]
        if scores.empty:
            raise UserError(f"no record was evaluated under evaluation={self.evaluation}")
        refuse_mixtures(results, scores)
        # A record that is left out has left a hole, which is told, and spoils no other.
        if not self.allow_missing and not results.left_out:
            refuse_holes(results, scores)
        if scores["value"].isna().all():
            raise UserError(f"score={self.score} is known for no record: {NEEDS[self.score]}")
        table = leaderboard(where_known(scores, score), score)
        shown = [terminal(table, score.title), *self._scored("leaderboard", table)]
        if self.published:
            shown += self._beside(score, {record.names["task"] for record in results.done})
        return shown

    def _beside(self, score: Score, tasks: set[str]) -> list[RenderableType]:
        rows = published_rows(score, tasks)
        if rows.empty:
            return [f"no published {SCORES[score.name][0]} is known for {', '.join(sorted(tasks))}"]
        shown: list[RenderableType] = ["", WARNING]
        for title, table in published_tables(rows):
            shown += ["", title, terminal(table)]
        return [*shown, *self._scored("published", rows.set_index("method"))]

    def _scored(self, what: str, table: pd.DataFrame) -> list[str]:
        share = f"{self.at_share:g}" if self.score in AT_SHARE else None
        return self._written(what, table, self.score, share, self.evaluation)

    def _written(self, what: str, table: pd.DataFrame, *parts: str | None) -> list[str]:
        stem = file_stem(*filter(None, [what, *parts, self.experiment_name]))
        return [f"written: {path}" for path in write_table(table, Path(self.directory) / stem)]


def leaderboard(scores: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Rows are methods, best mean rank first; columns are tasks, models and ablations.

    Several seeds of a cell are averaged, and their interval is that of the mean (Student's t, 95
    %); a single seed shows its own interval. Methods with a dash have no mean rank, and take no
    part in the others'.
    """
    scores = scores.assign(column=column_names(scores), row=row_names(scores))
    cells = scores.groupby(["row", "column"]).apply(_cell, include_groups=False)
    values = cells["value"].unstack("column")
    complete = values[values.notna().all(axis=1)]
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


def column_names(scores: pd.DataFrame) -> pd.Series:
    """Task, model, evaluation ablation and part; what all cells share is left out."""
    kinds = ("task", "model", "evaluation", "part")
    kinds = [kind for kind in kinds if scores[kind].nunique() > 1]
    return scores[kinds or ["task"]].agg(" / ".join, axis=1)


def row_names(scores: pd.DataFrame) -> pd.Series:
    """The method, and what it worked with if that is not always what it is evaluated under."""
    found = scores["method"] + " (found under " + scores["ablation"] + ")"
    return scores["method"] if (scores["ablation"] == scores["evaluation"]).all() else found


def _cell(rows: pd.DataFrame) -> pd.Series:
    value = rows["value"].mean(skipna=False)
    if pd.isna(value):
        return pd.Series({"value": value, "shown": DASH})
    if len(rows) > 1:
        half = t.ppf(0.975, len(rows) - 1) * rows["value"].std() / len(rows) ** 0.5
        return pd.Series({"value": value, "shown": f"{value:.3f} ±{half:.3f}"})
    low, high = rows["low"].iloc[0], rows["high"].iloc[0]
    interval = "" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]"
    return pd.Series({"value": value, "shown": f"{value:.3f}{interval}"})

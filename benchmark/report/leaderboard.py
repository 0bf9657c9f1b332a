"""The leaderboard: methods by tasks and models for one score, with ranks and costs.

It compares only what can be compared: cells of one column must share prompts, versions, sizes and
the recipe of the evaluation, and no cell may be missing, unless holes are allowed. A method that
cannot do a column has a dash there, and no mean is taken over dashes.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table

from benchmark.errors import UserError
from benchmark.files import replacing
from benchmark.record import Record, Status
from benchmark.report.frame import Results, load
from benchmark.report.scores import Score, score_table

DASH = "-"


@dataclass(frozen=True)
class Leaderboard:
    """Settings of `ablation-bench leaderboard`; see conf/leaderboard.yaml."""

    results_dir: str
    experiment_name: str | None
    score: str
    at_share: float
    evaluation: str | None
    allow_missing: bool
    directory: str

    def run(self) -> RenderableType:
        """Make the table and write it as Markdown, CSV and LaTeX.

        Raises:
            UserError: there is nothing to compare, or what there is cannot be compared.
        """
        score = Score(self.score, self.at_share)
        results = load(Path(self.results_dir), self.experiment_name)
        scores = score_table(results, score)
        if self.evaluation is not None:
            scores = scores[scores["evaluation"] == self.evaluation]
        if scores.empty:
            raise UserError(f"no record was evaluated under evaluation={self.evaluation}")
        if not self.allow_missing:
            refuse_mixtures(results)
            refuse_holes(results, scores)
        table = leaderboard(scores, score)
        paths = self._write(table)
        return Group(_terminal(table, score.title), *(f"written: {path}" for path in paths))

    def _write(self, table: pd.DataFrame) -> list[Path]:
        stem = Path(self.directory) / f"leaderboard_{self.score}"
        texts = {"md": _markdown(table), "csv": table.to_csv(), "tex": _latex(table)}
        paths = []
        for ending, text in texts.items():
            paths.append(stem.with_name(f"{stem.name}.{ending}"))
            with replacing(paths[-1]) as temporary:
                temporary.write_text(text)
        return paths


def leaderboard(scores: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Rows are methods, best mean rank first; columns are tasks, models and ablations.

    Several seeds of a cell are averaged, and their interval is that of the mean (1.96 standard
    errors); a single seed shows its own interval.
    """
    scores = scores.assign(column=column_names(scores), row=row_names(scores))
    cells = scores.groupby(["row", "column"]).apply(_cell, include_groups=False)
    values = cells["value"].unstack("column")
    ranks = values.rank(axis=0, ascending=score.lower_is_better)
    shown = cells["shown"].unstack("column").reindex(columns=values.columns).fillna(DASH)
    # A mean over what is there would favour who skipped the hard columns.
    rank = ranks.mean(axis=1).where(values.notna().all(axis=1))
    cost = scores.groupby("row")[["passes", "seconds"]].mean()
    shown["mean rank"] = [DASH if pd.isna(r) else f"{r:.2f}" for r in rank]
    shown["passes"] = [f"{cost.loc[row, 'passes']:,.0f}" for row in shown.index]
    shown["seconds"] = [f"{cost.loc[row, 'seconds']:,.1f}" for row in shown.index]
    return shown.loc[rank.sort_values(na_position="last").index].rename_axis("method")


def column_names(scores: pd.DataFrame) -> pd.Series:
    """Task, model and evaluation ablation; what all cells share is left out."""
    kinds = [kind for kind in ("task", "model", "evaluation") if scores[kind].nunique() > 1]
    return scores[kinds or ["task"]].agg(" / ".join, axis=1)


def row_names(scores: pd.DataFrame) -> pd.Series:
    """The method, and what it worked with where that is not what it is evaluated under."""
    other = scores["ablation"] != scores["evaluation"]
    found = scores["method"] + " (found under " + scores["ablation"] + ")"
    return scores["method"].where(~other, found)


def refuse_mixtures(results: Results) -> None:
    """Check that the cells of one column differ in their method alone.

    Raises:
        UserError: they do not.
    """
    seen: dict[tuple[Any, ...], dict[str, tuple[Any, str]]] = defaultdict(dict)
    for record in results.done:
        names, config = record.names, record.config
        for evaluation in record.areas:
            shared = {
                "prompts": record.data,
                "task version": record.versions["task"],
                "version of ablation-bench": record.versions["ablation-bench"],
                f"recipe of {evaluation}": record.evaluation[evaluation],
                "numbers of prompts": [config["n_train"], config["n_test"]],
            }
            column = names["task"], names["model"], evaluation, config["seed"]
            for what, value in shared.items():
                before, key = seen[column].setdefault(what, (value, record.key))
                if before != value:
                    raise UserError(
                        f"records {key} and {record.key} of {names['task']} on {names['model']} "
                        f"have different {what}: run them alike, choose one experiment_name, or "
                        "add --allow-missing to mix them"
                    )


def refuse_holes(results: Results, scores: pd.DataFrame) -> None:
    """Check that every method has every column and seed, or is known to be unable.

    Raises:
        UserError: a cell is missing or failed.
    """
    kinds = ["task", "model", "ablation"]
    columns = scores[[*kinds, "evaluation", "seed"]].drop_duplicates()
    present = {tuple(row) for row in scores[["method", *columns.columns]].itertuples(index=False)}
    unable = {
        _place(results, record)
        for record in results.records.values()
        if record.status is Status.skipped
    }
    missing = [
        (method, *column)
        for method in sorted(scores["method"].unique())
        for column in columns.itertuples(index=False)
        if (method, *column) not in present
        and (method, column.task, column.model, column.ablation, column.seed) not in unable
    ]
    if missing:
        method, task, model, ablation, evaluation, seed = missing[0]
        raise UserError(
            f"{len(missing)} cells are missing, the first: method={method} task={task} "
            f"model={model} ablation={ablation} seed={seed}, evaluated under {evaluation}; run "
            "them, choose one experiment_name, or add --allow-missing"
        )


def _place(results: Results, record: Record) -> tuple[Any, ...]:
    names = record.names
    seed = record.config["seed"]
    return results.labels[record.key], names["task"], names["model"], names["ablation"], seed


def _cell(rows: pd.DataFrame) -> pd.Series:
    value = rows["value"].mean(skipna=False)
    if pd.isna(value):
        return pd.Series({"value": value, "shown": DASH})
    if len(rows) > 1:
        half = 1.96 * rows["value"].std() / len(rows) ** 0.5
        return pd.Series({"value": value, "shown": f"{value:.3f} ±{half:.3f}"})
    low, high = rows["low"].iloc[0], rows["high"].iloc[0]
    interval = "" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]"
    return pd.Series({"value": value, "shown": f"{value:.3f}{interval}"})


def _terminal(table: pd.DataFrame, title: str) -> Table:
    shown = Table("method", *map(str, table.columns), title=title)
    for method, row in table.iterrows():
        shown.add_row(str(method), *map(str, row))
    return shown


def _markdown(table: pd.DataFrame) -> str:
    heads = ["method", *map(str, table.columns)]
    lines = [
        heads,
        ["---"] * len(heads),
        *([str(m), *map(str, row)] for m, row in table.iterrows()),
    ]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _latex(table: pd.DataFrame) -> str:
    def line(cells: list[str]) -> str:
        safe = (
            cell.replace("_", r"\_").replace("±", r"$\pm$").replace("%", r"\%") for cell in cells
        )
        return " & ".join(safe) + r" \\" + "\n"

    heads = ["method", *map(str, table.columns)]
    rows = "".join(line([str(m), *map(str, row)]) for m, row in table.iterrows())
    columns = "l" + "r" * (len(heads) - 1)
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\hline\n{line(heads)}\\hline\n{rows}\\hline\n"
        "\\end{tabular}\n"
    )

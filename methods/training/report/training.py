"""The report of trained models: one table of all, seeds side by side, and what grows with what.

Models whose names differ by their seed alone (`..._seed0`, `..._seed1`) are one way of training;
its numbers are means over seeds, in brackets with the 95 % interval of the mean by Student's t.
"""

import re

import numpy as np
import pandas as pd

from benchmark.report.frame import Results
from benchmark.report.layout.tables import DASH
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from benchmark.statistics.student import half_interval
from methods.training.report.plots import gaps_by_size, sizes_by_perplexity
from methods.training.report.published import published_table

SEED = re.compile(r"_?seed\d+")
NOTE = "means over records [95 % interval of the mean by Student's t; none of one record]"


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """For each task all ways of training: one row each, a column for each measure."""
    made = []
    for task, rows in measured(results).groupby("task", sort=False):
        table = _table(rows)
        title = f"What training did to models, circuits of {task}"
        made.append(ReportTable(("training", str(task)), title, table, note=NOTE))
    if asked.published:
        title = "Published: Ferrao et al. 2025, means over runs [range]"
        made.append(ReportTable(("training", "published"), title, published_table()))
    return made


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """For each task circuits against perplexity, and the loss gap against size."""
    made = []
    for task, rows in measured(results).groupby("task", sort=False):
        wide = rows.pivot_table(
            index=["training", "model", "key"], columns="measure", values="value"
        )
        wide = wide.reset_index()
        if "perplexity" in wide:
            figure = sizes_by_perplexity(wide, str(task))
            made.append(ReportFigure(("training_size", str(task)), figure, wide))
    for task, rows in curves(results).groupby("task", sort=False):
        made.append(ReportFigure(("training_gap", str(task)), gaps_by_size(rows, str(task)), rows))
    return made


def measured(results: Results) -> pd.DataFrame:
    """The single numbers: task, model, training (its way), measure, value and its interval."""
    return _named(results.tables.query("measure != 'curve'"))


def curves(results: Results) -> pd.DataFrame:
    """The loss gap of every circuit: task, model, training, by, size, loss_gap."""
    return _named(results.tables.query("measure == 'curve'"))


def with_interval(values: list[float]) -> str:
    """A mean over records with its interval, or a single number."""
    numbers = np.array([value for value in values if not np.isnan(value)])
    if not len(numbers):
        return DASH
    mean = f"{numbers.mean():.3g}" if numbers.mean() < 1000 else f"{numbers.mean():,.0f}"
    if len(numbers) == 1:
        return mean
    half = half_interval(numbers)
    return f"{mean} [{numbers.mean() - half:.3g}, {numbers.mean() + half:.3g}]"


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    names = rows["model"].map(lambda name: SEED.sub("", str(name).rpartition("/")[2]))
    return rows.assign(training=names)


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    measures = list(dict.fromkeys(rows["measure"]))
    table = {}
    for training, some in rows.groupby("training", sort=False):
        of_measure = {name: part["value"].tolist() for name, part in some.groupby("measure")}
        cells = {
            name: with_interval(of_measure[name]) if name in of_measure else DASH
            for name in measures
        }
        table[training] = {"records": str(some["key"].nunique()), **cells}
    # More measures than ways of training: a row for each measure is easier to read.
    return pd.DataFrame(table).rename_axis("measure")

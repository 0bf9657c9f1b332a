"""The pictures of curves: loss gap against size, ablations, cost, and a map of scores."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.layout.looks import Look, ablation_colour, look
from benchmark.report.layout.pictures import axes_of, legend, log_axis

SIZE, GAP = "edges in the circuit", "loss gap (nats)"
# A gap of zero has no place on a log axis.
SMALLEST_DRAWN_GAP = 1e-5


def gap_against_size(
    curves: pd.DataFrame, title: str, published: pd.DataFrame | None = None
) -> Figure:
    """Points, and the smallest gap so far as a line, for each method; known circuits as crosses."""
    figure, (axes,) = axes_of(title)
    for method, rows in curves.groupby("method", sort=True):
        name = str(method)
        if name.split(" ")[0] == "reference":
            shade = look(name).colour
            axes.plot(rows["size"], _gap(rows), "x", color=shade, ms=9, mew=2, label=name)
        else:
            _curve(axes, rows, name, look(name))
    for method, rows in () if published is None else published.groupby("method", sort=True):
        label, shade = f"{method} (published, GPT-2 small)", look(str(method)).colour
        if method == "reference":
            axes.plot(rows["size"], rows["loss_gap"], "+", color=shade, ms=9, label=label)
        else:
            line = _smallest_so_far(rows)
            axes.plot(line["size"], line["loss_gap"], ":", color=shade, alpha=0.8, label=label)
    return _finished(figure, axes)


def has_points(curves: pd.DataFrame) -> bool:
    """Whether a picture of loss gap against size would show anything.

    The empty and the whole graph are no circuits, and neither has a place on log axes.
    """
    return not _drawn(curves).empty


def ablations_compared(curves: pd.DataFrame, title: str) -> Figure:
    """One method's curves, one for each ablation that they were evaluated under."""
    figure, (axes,) = axes_of(title)
    for evaluation, rows in curves.groupby("evaluation", sort=True):
        name = str(evaluation)
        _curve(axes, rows, name, Look(ablation_colour(name), "o"))
    return _finished(figure, axes)


def quality_against_cost(scores: pd.DataFrame, score: str, title: str) -> Figure:
    """A point per method, task and ablation: what it reached for how many passes."""
    figure, (axes,) = axes_of(title)
    for method, rows in scores.groupby("method", sort=True):
        name = str(method)
        spent, own = rows["passes"].clip(lower=1), look(name)
        axes.plot(spent, rows["value"], own.mark, color=own.colour, label=name, alpha=0.8)
    log_axis(axes, "x")
    axes.set_xlabel("passes of the method (prompts, forward + backward)")
    axes.set_ylabel(score)
    legend(figure, axes)
    return figure


def score_map(table: pd.DataFrame, score: str, title: str, lower_is_better: bool) -> Figure:
    """Methods by tasks, each square with its score; the brighter, the better."""
    values = table.to_numpy(dtype=float)
    # Long names take room of their own, or the squares would be squeezed.
    names, columns = (max(map(len, axis.astype(str))) for axis in (table.index, table.columns))
    width = 0.5 + 0.09 * max(names, 0.8 * columns) + 1.1 * values.shape[1]
    height = 0.8 + 0.045 * columns + 0.5 * values.shape[0]
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    shades = -values if lower_is_better else values
    axes.imshow(np.ma.masked_invalid(shades), cmap="viridis", aspect="auto")
    middle = (np.nanmin(shades) + np.nanmax(shades)) / 2
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.2f}"
        dark = not np.isnan(value) and shades[row, column] < middle
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(values.shape[1]), list(table.columns), rotation=30, ha="right")
    axes.set_yticks(range(values.shape[0]), list(table.index))
    axes.set_title(f"{title}: {score} ({'lower' if lower_is_better else 'higher'} is better)")
    return figure


def _curve(axes: Axes, rows: pd.DataFrame, label: str, own: Look) -> None:
    rows = _drawn(rows)
    drawn: dict[str, Any] = dict(ls=own.line, color=own.colour, lw=1.8)
    axes.plot([], [], marker=own.mark, ms=4, label=label, **drawn)
    if rows.empty:
        return
    gap = _gap(rows)
    whiskers = [
        (gap - rows["loss_gap_low"].clip(lower=SMALLEST_DRAWN_GAP)).clip(lower=0),
        (rows["loss_gap_high"] - gap).clip(lower=0),
    ]
    shown: dict[str, Any] = dict(color=own.colour, lw=0.7, alpha=0.55)
    axes.errorbar(rows["size"], gap, yerr=whiskers, fmt=own.mark, ms=4, **shown)
    line = _smallest_so_far(rows)
    axes.plot(line["size"], _gap(line), **drawn)


def _drawn(rows: pd.DataFrame) -> pd.DataFrame:
    inside = (rows["size"] > 0) & (rows["size"] < rows["n_edges"])
    return rows[inside].dropna(subset="loss_gap")


def _smallest_so_far(rows: pd.DataFrame) -> pd.DataFrame:
    ordered = rows.groupby("size", as_index=False)["loss_gap"].mean().sort_values("size")
    return ordered.assign(loss_gap=ordered["loss_gap"].cummin())


def _gap(rows: pd.DataFrame) -> pd.Series:
    return rows["loss_gap"].clip(lower=SMALLEST_DRAWN_GAP)


def _finished(figure: Figure, axes: Axes) -> Figure:
    log_axis(axes, "x")
    log_axis(axes, "y")
    axes.set_xlabel(SIZE)
    axes.set_ylabel(GAP)
    legend(figure, axes)
    return figure

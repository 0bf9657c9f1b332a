"""The pictures of single components: ablations against each other, and the components themselves.

The first is the grid of Li & Janson's repository: a histogram of log gaps for each ablation on the
diagonal, gaps above it and ranks below it, each with its correlation.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from benchmark.report.layout.looks import ablation_colour, ablation_mark
from benchmark.report.layout.pictures import BLACK, GREY, axes_of, legend, log_axis
from benchmark.statistics.bootstrap import interval_of_means
from methods.importance.report.components.joined import Joined
from methods.importance.report.components.statistics import (
    SMALLEST_COMPONENT_GAP,
    log_correlation,
    rank_correlation,
    ranks,
)

GAP = "loss gap (nats)"
# The ablations of the paper's grid; where one was not run, what stands for it.
IN_THE_GRID = (
    ("zero",), ("mean_positional", "mean"), ("resample_positional", "resample"),
    ("counterfactual_mean",), ("optimal_positional", "optimal"), ("counterfactual",),
)  # fmt: skip
LOOKS_OF_NODES: dict[str, dict[str, Any]] = {
    "head": dict(marker="o", s=14, color=GREY, alpha=0.65, lw=0),
    "mlp": dict(marker="s", s=20, color=BLACK, alpha=0.85, lw=0),
}
N_SHOWN = 15


def in_the_grid(found: Joined) -> list[str]:
    """The ablations that the grid compares."""
    places = ([name for name in names if name in found.gaps] for names in IN_THE_GRID)
    return [names[0] for names in places if names]


def correlations(found: Joined) -> Figure:
    """A grid of ablations by ablations over heads and MLPs."""
    names = in_the_grid(found)
    side = 0.6 + 1.65 * len(names)
    figure = Figure(figsize=(side, side), layout="constrained")
    grid = figure.subplots(len(names), len(names), squeeze=False)
    gaps = np.maximum(found.means_of_nodes, SMALLEST_COMPONENT_GAP)
    limits = gaps.min(axis=None) / 2.5, gaps.max(axis=None) * 2.5
    for (row, column), axes in np.ndenumerate(grid):
        x, y = (gaps[names[place]].to_numpy() for place in (column, row))
        if row == column:
            _histogram(axes, x, ablation_colour(names[row]), limits)
        elif row < column:
            _gaps_compared(axes, found, x, y, limits)
        else:
            _ranks_compared(axes, found, x, y)
        _label_the_edge(axes, row, column, names)
    how = "above: gaps (nats), r of logs; below: ranks; heads are circles, MLPs squares"
    figure.suptitle(f"{found.words}: components ablated alone\n{how}", fontsize=9)
    return figure


def gaps_of_components(found: Joined) -> Figure:
    """The components that lose most, with their gaps and intervals under every ablation."""
    order = found.means[found.optimal] if found.optimal else found.means.mean(axis=1)
    largest = order.nlargest(N_SHOWN).index
    rows = found.means.index.get_indexer(largest)
    figure, (axes,) = axes_of(f"{found.words}: components ablated alone")
    figure.set_size_inches(7, 1.2 + 0.4 * len(largest))
    shifts = np.linspace(-0.33, 0.33, len(found.gaps)) if len(found.gaps) > 1 else [0.0]
    for shift, (name, gaps) in zip(shifts, found.gaps.items(), strict=True):
        _with_intervals(axes, name, gaps[rows], np.arange(len(rows)) + shift)
    axes.set_yticks(range(len(largest)), list(largest))
    axes.set_ylim(len(largest) - 0.5, -0.5)
    axes.grid(False, axis="y")
    for between in range(1, len(largest)):
        axes.axhline(between - 0.5, color=GREY, lw=0.4, alpha=0.5)
    log_axis(axes, "x")
    axes.set_xlabel(GAP)
    legend(figure, axes, title="95 % intervals over prompts")
    return figure


def _with_intervals(axes: Axes, name: str, gaps: np.ndarray, heights: np.ndarray) -> None:
    mean = np.maximum(gaps.mean(1, dtype=np.float64), SMALLEST_COMPONENT_GAP)
    low, high = (np.maximum(end, SMALLEST_COMPONENT_GAP) for end in interval_of_means(gaps))
    whiskers = [np.maximum(mean - low, 0), np.maximum(high - mean, 0)]
    shown: dict[str, Any] = dict(ms=4, lw=0.9, color=ablation_colour(name), label=name)
    shown["fmt"] = ablation_mark(name)
    axes.errorbar(mean, heights, xerr=whiskers, **shown)


def _histogram(axes: Axes, gaps: np.ndarray, colour: str, limits: tuple[float, float]) -> None:
    axes.hist(gaps, np.geomspace(*limits, 16), color=colour, alpha=0.85)
    axes.set(xscale="log", xlim=limits, yticks=[])
    _few_marks(axes.xaxis)


def _gaps_compared(
    axes: Axes, found: Joined, x: np.ndarray, y: np.ndarray, limits: tuple[float, float]
) -> None:
    axes.plot(limits, limits, color=GREY, lw=0.7)
    _scatter(axes, found, x, y)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    _few_marks(axes.xaxis)
    _few_marks(axes.yaxis)
    axes.yaxis.tick_right()
    _note(axes, log_correlation(x, y))


def _ranks_compared(axes: Axes, found: Joined, x: np.ndarray, y: np.ndarray) -> None:
    _scatter(axes, found, ranks(x), ranks(y))
    axes.set(xlim=(0, len(x) + 1), ylim=(0, len(y) + 1))
    _note(axes, float(rank_correlation(x, y)))


def _scatter(axes: Axes, found: Joined, x: np.ndarray, y: np.ndarray) -> None:
    kinds = found.components["kind"].to_numpy()[found.are_nodes]
    for kind, shown in LOOKS_OF_NODES.items():
        axes.scatter(x[kinds == kind], y[kinds == kind], **shown)


def _note(axes: Axes, correlation: float) -> None:
    place = dict(transform=axes.transAxes, ha="left", va="top", fontsize=8)
    axes.text(0.04, 0.97, f"r = {correlation:.2f}", **place)


def _few_marks(axis: Axis) -> None:
    axis.set_major_locator(LogLocator(numticks=4))
    axis.set_minor_locator(NullLocator())


def _label_the_edge(axes: Axes, row: int, column: int, names: list[str]) -> None:
    """Names on the left and at the top; numbers where they are the last of their row or column."""
    last = len(names) - 1
    of_ranks, of_gaps = row > column, row < column
    axes.tick_params(
        labelsize=6,
        labelleft=of_ranks and column == 0,
        labelright=of_gaps and column == last,
        labelbottom=(of_ranks and row == last) or row == column,
    )
    if row == 0:
        axes.set_title(names[column].replace("_", " "), fontsize=8)
    if column == 0:
        axes.set_ylabel(names[row].replace("_", " "), fontsize=8)

"""The pictures of verified recall: costs against the number of nodes, and relative costs.

They follow figures 1, 2 and 7 to 9 of Kramar et al. 2024 (arXiv 2403.00745).
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.layout.looks import in_families, look
from benchmark.report.layout.pictures import axes_of, legend, log_axis

PANELS = {"100": "all K", "90": "90 % of K"}
PLACES_IN_A_PANEL = 4
# In units of the distance between problems.
WIDEST_BAR = 0.15
COST = "forward passes until {} are verified"


def verified_recall(curves: pd.DataFrame, title: str) -> Figure:
    """A line per method in two panels, the geometric mean; bands are its standard deviation.

    Args:
        curves: method, setting (one for each method), k, cost_100, cost_90 and oracle.
        title: of the picture.
    """
    figure, panels = axes_of(title, len(PANELS))
    for axes, (name, words) in zip(panels, PANELS.items(), strict=True):
        for method in in_families(curves["method"]):
            _line(axes, curves[curves["method"] == method], f"cost_{name}")
        oracle = curves.drop_duplicates("k").sort_values("k")
        axes.plot(oracle["k"], oracle["oracle"], ":", color="black", lw=1.2, label="oracle")
        axes.set_xlabel("most important nodes (K)")
        axes.set_ylabel(COST.format(words))
        log_axis(axes, "x")
        log_axis(axes, "y")
    panels[1].sharey(panels[0])
    legend(figure, panels[0])
    return figure


def relative_costs(costs: pd.DataFrame, title: str) -> Figure:
    """Bars that rise from the oracle's cost, a group for each problem.

    Args:
        costs: place, method, relative_cost and relative_cost_90, with their spreads.
        title: of the picture.
    """
    figure, panels = axes_of(title, len(PANELS))
    places, methods = list(costs["place"].unique()), in_families(costs["method"])
    costs = costs.assign(shift=_side_by_side(costs, methods))
    bar = min(0.8 / len(methods), WIDEST_BAR)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width * max(1, len(places) / PLACES_IN_A_PANEL), height)
    names = {"relative_cost": PANELS["100"], "relative_cost_90": PANELS["90"]}
    for axes, (name, words) in zip(panels, names.items(), strict=True):
        for method in methods:
            rows = costs[costs["method"] == method]
            across = [places.index(row.place) + bar * row.shift for row in rows.itertuples()]
            _bars(axes, np.array(across), rows, name, bar)
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.set_xticks(range(len(places)), [place.replace(" / ", "\n") for place in places])
        axes.grid(False, axis="x")
        axes.set_ylabel(f"multiples of the oracle's cost, {words}")
        log_axis(axes, "y")
        axes.set_ylim(bottom=1)
    panels[1].sharey(panels[0])
    legend(figure, panels[0])
    return figure


def _side_by_side(costs: pd.DataFrame, methods: list[str]) -> pd.Series:
    """Where each bar stands in its group, in bars from its middle; no gap for who is not there."""
    place = costs["place"]
    turn = costs["method"].map(methods.index).groupby(place).rank()
    return turn - (turn.groupby(place).transform("max") + 1) / 2


def _line(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    logs = np.log(rows[name]).groupby(rows["k"])
    # Sizes that every run has: the last one may differ.
    whole = logs.count() == logs.count().max()
    mean, deviation = logs.mean()[whole], logs.std(ddof=0)[whole]
    method, setting = rows[["method", "setting"]].iloc[0]
    own = look(method)
    axes.plot(
        mean.index, np.exp(mean), ls=own.line, color=own.colour, marker=own.mark, ms=4,
        markevery=0.12, lw=1.5, label=setting,
    )  # fmt: skip
    if deviation.any():
        ends = np.exp(mean - deviation), np.exp(mean + deviation)
        axes.fill_between(mean.index, *ends, color=own.colour, alpha=0.15, lw=0)


def _bars(axes: Axes, across: np.ndarray, rows: pd.DataFrame, name: str, width: float) -> None:
    value, spread = rows[name], rows[f"{name}_spread"]
    method = str(rows["method"].iloc[0])
    axes.bar(
        across, value - 1, width, bottom=1, color=look(method).colour, alpha=0.85, label=method
    )
    shown = (spread > 1).to_numpy()
    whiskers = np.array([value - value / spread, value * spread - value])[:, shown]
    axes.errorbar(
        across[shown], value[shown], whiskers, fmt="none", color="black", lw=0.9, capsize=2
    )

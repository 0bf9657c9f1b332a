"""The report of missed effects: how large an effect could be that nobody has verified.

Random subsets of the nodes that are not verified bound all their effects at once (the diagnostic
of Kramar et al. 2024, arXiv 2403.00745, figure 6); where the truth is known, it stands beside.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.report.layout.pictures import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    axes_of,
    legend,
    log_axis,
)
from benchmark.report.layout.tables import DASH
from benchmark.report.measured import UNKNOWN, Measured, Quantity
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from methods.importance.report.problems import headed, problems

# Bounds by their column, with the look of their lines.
BOUNDS = {
    "bound_999": ("99.9 %", BLACK, "-"),
    "bound_99": ("99 %", BLUE, "--"),
    "bound_90": ("90 %", SKY, "-."),
}
MISSED = "largest_missed"
QUANTITIES = {
    f"{name}_holds": Quantity(f"share of repetitions in which the {words} bound holds", 0.0, 1.0)
    for name, (words, *_) in BOUNDS.items()
}
# Effects this many times smaller than the last bound are not drawn.
FAR_BELOW = 100


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """The bounds after all draws, the largest effect that is missed, and which bounds hold."""
    known = problems(results, results.done)
    rows = [_row(results, one) for one in known.to_dict("records")]
    table = pd.DataFrame(rows).set_index("method")
    constant = [name for name in ("problem", "seed") if table[name].nunique() == 1]
    title = headed(known, "upper bounds on the effects of nodes that are not verified")
    return [ReportTable(("missed_effects",), title, table.drop(columns=constant))]


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """One picture for each record."""
    made = []
    for one in problems(results, results.done).to_dict("records"):
        rows = results.tables[results.tables["key"] == one["key"]]
        nodes = _nodes(results, one["key"])
        title = f"{one['title']}\n{one['setting']}, seed {one['seed']}"
        words = ("missed", *one["words"], one["setting"], f"seed{one['seed']}")
        made.append(ReportFigure(words, bounds_beside_effects(rows, nodes, title), rows))
    return made


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """How often a bound holds after all draws; unknown where the truth is."""
    bound, found = quantity.removesuffix("_holds"), {}
    for record in records:
        rows = results.tables[results.tables["key"] == record.key].dropna(subset=MISSED)
        last = rows[rows["draws"] == rows["draws"].max()]
        share = float((last[bound] >= last[MISSED]).mean()) if len(last) else UNKNOWN
        found[record.key] = Measured(share)
    return found


def bounds_beside_effects(rows: pd.DataFrame, nodes: pd.DataFrame | None, title: str) -> Figure:
    """True contributions by rank if they are known, and bounds against draws, on one scale.

    Args:
        rows: draws, the bounds, and the largest missed effect if known; a row for each repetition.
        nodes: contribution, and whether verified, of every node that contributes.
        title: of the picture.
    """
    figure, panels = axes_of(title, 1 if nodes is None else 2)
    if nodes is not None:
        finite = rows[[*BOUNDS]].replace(np.inf, np.nan)
        far_below = nodes["contribution"] < finite.min(axis=None) / FAR_BELOW
        _effects(panels[0], nodes[~far_below])
    _bounds(panels[-1], rows)
    for axes in panels:
        log_axis(axes, "x")
        log_axis(axes, "y")
        legend(figure, axes)
    panels[-1].sharey(panels[0])
    return figure


def _row(results: Results, one: dict[str, Any]) -> dict[str, str]:
    rows = results.tables[results.tables["key"] == one["key"]]
    last = rows[rows["draws"] == rows["draws"].max()]
    missed = last[MISSED].mean()
    return {
        "method": one["setting"],
        "problem": one["place"],
        "seed": str(one["seed"]),
        "draws": f"{last['draws'].iloc[0]:,}",
        **{name: _cell(last, column) for column, (name, *_) in reversed(BOUNDS.items())},
        "largest missed effect": DASH if pd.isna(missed) else f"{missed:.4g}",
    }


def _cell(last: pd.DataFrame, column: str) -> str:
    """The median bound, and of how many repetitions it holds."""
    known = last.dropna(subset=MISSED)
    shown = f"{last[column].median():.4g}"
    if known.empty:
        return shown
    holds = int((known[column] >= known[MISSED]).sum())
    if len(known) == 1:
        return f"{shown} ({'holds' if holds else 'broken'})"
    return f"{shown} (holds {holds} of {len(known)})"


def _nodes(results: Results, key: str) -> pd.DataFrame | None:
    contribution, verified = (results.tensor(key, name) for name in ("contribution", "verified"))
    if contribution is None or verified is None:
        return None
    nodes = pd.DataFrame({"contribution": contribution, "verified": verified.astype(bool)})
    ordered = nodes[nodes["contribution"] > 0].sort_values("contribution", ascending=False)
    return ordered.assign(rank=np.arange(1, len(ordered) + 1))


def _effects(axes: Axes, nodes: pd.DataFrame) -> None:
    for verified, shade, mark, name in (
        (True, VERMILION, "D", "verified"),
        (False, ORANGE, "o", "not verified"),
    ):
        rows = nodes[nodes["verified"] == verified]
        axes.plot(
            rows["rank"], rows["contribution"], mark, color=shade, ms=4, mew=0, alpha=0.8,
            label=name, rasterized=True,
        )  # fmt: skip
    axes.set_xlabel("rank of the node")
    axes.set_ylabel("true effect")


def _bounds(axes: Axes, rows: pd.DataFrame) -> None:
    for column, (name, shade, dash) in BOUNDS.items():
        found = rows.groupby("draws")[column].agg(["median", "min", "max"]).replace(np.inf, np.nan)
        axes.plot(
            found.index, found["median"], ls=dash, color=shade, marker="o", ms=3,
            label=f"bound, {name}",
        )  # fmt: skip
        axes.fill_between(found.index, found["min"], found["max"], color=shade, alpha=0.12, lw=0)
    without = np.isinf(rows.groupby("draws")[[*BOUNDS]].median()).any(axis=1)
    if without.any():
        ends = without.index[without][[0, -1]]
        axes.axvspan(*ends, color=GREY, alpha=0.12, lw=0, label="too few draws for a bound")
    missed: NDArray[np.float64] = rows[MISSED].dropna().to_numpy()
    if len(missed):
        axes.axhline(missed.mean(), color=ORANGE, lw=1.2, label="largest missed effect")
    axes.set_xlabel("draws of random subsets (forward passes)")
    axes.set_ylabel("upper bound on missed effects")

"""Where estimates go wrong: ranks beside the true ones, and effects that cancel over pairs.

They follow figures 4, 5 and 10 of Kramar et al. 2024 (arXiv 2403.00745).
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.effects.nodes.names import node_name
from benchmark.report.frame import Results
from benchmark.report.layout.pictures import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    axes_of,
    legend,
    log_axis,
)

# A node whose estimated rank is this many times its true one is a false negative.
LATE = 10
# Nodes beyond this rank by both rankings are not drawn.
LAST_RANK = 20_000
# An effect of this share of the largest is hardly told from none in single precision.
RANK_ROUNDING = 1e-5
# Up to so many points are drawn larger.
FEW = 2_000
# Of the false negatives, the worst.
N_NAMED = 3
PANELS_IN_A_ROW = 2
# Where the axes of ranks begin.
FIRST = 0.7
# Of the histogram.
N_BARS = 20
# Name, colour and mark of each site, by its number.
SITES = (
    ("query", BLUE, "o"),
    ("key", ORANGE, "^"),
    ("value", GREEN, "s"),
    ("output", PURPLE, "D"),
    ("neuron", GREY, "o"),
)
NODE = ("layer", "site", "unit", "position")


def known_ranks(results: Results, key: str) -> pd.DataFrame:
    """The nodes of a record that contribute, the most important first, with their ranks from 1.

    The columns are those of `named`, contribution, true_rank, and estimated_rank: its place in the
    order in which the method verifies nodes (of several repetitions, in the first). Left out are
    nodes without an effect, up to rounding, and those that rank low both ways.
    """
    contribution = pd.Series(results.tensor(key, "contribution"))
    spent = pd.DataFrame(results.tensor(key, "spent"))
    nodes = pd.DataFrame(
        {
            "contribution": contribution,
            "true_rank": contribution.rank(ascending=False, method="first"),
            # What knows all nodes at once has verified all when it has verified one.
            "estimated_rank": spent.iloc[0].rank(method="max"),
        }
    )
    matters = contribution > RANK_ROUNDING * contribution.max()
    shown = nodes[["true_rank", "estimated_rank"]].min(axis=1) <= LAST_RANK
    return named(results, key, nodes[matters & shown].sort_values("true_rank"))


def named(results: Results, key: str, nodes: pd.DataFrame) -> pd.DataFrame:
    """Rows of a record's nodes, by their number, with the columns node (its name) and site."""
    scores = pd.DataFrame({name: results.tensor(key, name) for name in NODE})
    places = scores.loc[nodes.index].itertuples(index=False)
    aggregated = scores["position"].max() == 0
    names = [
        node_name(layer, site, unit, None if aggregated else position)
        for layer, site, unit, position in places
    ]
    sites = [SITES[site][0] for site in scores["site"].loc[nodes.index]]
    return nodes.assign(node=names, site=sites)


def ranks_compared(ranks: dict[str, pd.DataFrame], title: str) -> Figure:
    """A panel for each method; below the diagonal, nodes that matter more than estimated.

    Args:
        ranks: for each method, node, site, true_rank and estimated_rank, as of `known_ranks`.
        title: of the picture.
    """
    figure, panels = axes_of(title, len(ranks), per_row=PANELS_IN_A_ROW)
    everyone = pd.concat(ranks.values())[["true_rank", "estimated_rank"]]
    last = 2 * float(everyone.max(axis=None))
    for axes, (method, nodes) in zip(panels, ranks.items(), strict=True):
        _lines(axes, last)
        late = nodes["estimated_rank"] >= LATE * nodes["true_rank"]
        _cloud(axes, nodes[~late])
        _false_negatives(axes, nodes[late])
        axes.set_title(_title(method, nodes[late]), fontsize=9)
        for which in ("x", "y"):
            log_axis(axes, which)
        axes.set(xlim=(FIRST, last), ylim=(FIRST, last), xlabel="rank by the estimate")
    for axes in panels[::PANELS_IN_A_ROW]:
        axes.set_ylabel("true rank")
    _say_which_side(panels[0])
    _name_sites(figure, panels[0], set().union(*(one["site"] for one in ranks.values())))
    return figure


def cancellation(effects: NDArray[np.generic], title: str) -> tuple[Figure, pd.DataFrame]:
    """How much of each node's effect cancels over pairs, all nodes and the tenth that matter most.

    Args:
        effects: what patching each node does to the metric, pairs x nodes.
        title: of the picture.
    """
    size, ratio = cancelled(effects)
    edges = np.linspace(0, 1, N_BARS + 1)
    figure, (axes,) = axes_of(title)
    bars = {"from": edges[:-1], "to": edges[1:]}
    for name, counted, shade, filled in (
        ("all nodes", np.ones(len(size), dtype=bool), GREY, True),
        ("the tenth that matter most", size >= np.quantile(size, 0.9), BLUE, False),
    ):
        bars[name] = 100 * np.histogram(ratio[counted], edges)[0] / counted.sum()
        alpha = 0.5 if filled else 1.0
        axes.stairs(bars[name], edges, fill=filled, color=shade, lw=1.6, alpha=alpha, label=name)
    axes.set_xlabel("share of the effects' size that cancels over pairs")
    axes.set_ylabel("nodes (%)")
    axes.set_xlim(0, 1)
    legend(figure, axes)
    return figure, pd.DataFrame(bars)


def cancelled(effects: NDArray[np.generic]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each node that has any effect, its size and the share of it that cancels over pairs.

    The size is the sum of |effect|; the share 1 - |sum of effects| / size is 0 if all effects have
    one sign, and 1 if they cancel.
    """
    effects = effects.astype(float)
    size, left = np.abs(effects).sum(0), np.abs(effects.sum(0))
    moved = size > 0
    return size[moved], 1 - left[moved] / size[moved]


def _lines(axes: Axes, last: float) -> None:
    """Right ranks, and the region of those that are much too late."""
    across = np.array([LATE * FIRST, last])
    axes.plot([FIRST, last], [FIRST, last], color=BLACK, lw=0.8)
    axes.plot(across, across / LATE, color=VERMILION, lw=0.8, ls="--")
    axes.fill_between(across, across / LATE, FIRST, color=VERMILION, alpha=0.08, lw=0)


def _say_which_side(axes: Axes) -> None:
    settings: dict[str, Any] = dict(transform=axes.transAxes, fontsize=8)
    axes.text(0.03, 0.96, "false positives:\nverified too early", va="top", color=GREY, **settings)
    axes.text(
        0.97, 0.04, "false negatives:\nverified too late", ha="right", color=VERMILION, **settings
    )


def _cloud(axes: Axes, nodes: pd.DataFrame) -> None:
    """One collection in the order of ranks, so that no site lies on top of the others."""
    shades = {name: shade for name, shade, _ in SITES}
    few = len(nodes) <= FEW
    axes.scatter(
        nodes["estimated_rank"], nodes["true_rank"], s=16 if few else 7,
        c=nodes["site"].map(shades), alpha=0.6 if few else 0.35, lw=0, rasterized=True,
    )  # fmt: skip


def _false_negatives(axes: Axes, nodes: pd.DataFrame) -> None:
    for name, shade, mark in SITES:
        rows = nodes[nodes["site"] == name]
        axes.plot(rows["estimated_rank"], rows["true_rank"], mark, color=shade, mec=BLACK, ms=5.5)


def _title(method: str, late: pd.DataFrame) -> str:
    """How many nodes are too late, and the worst of them."""
    by_how_much = late["estimated_rank"] / late["true_rank"]
    worst = ", ".join(late["node"].loc[by_how_much.nlargest(N_NAMED).index])
    return f"{method}: {len(late)} too late" + (f"\nworst: {worst}" if worst else "")


def _name_sites(figure: Figure, axes: Axes, present: set[str]) -> None:
    for name, shade, mark in SITES:
        if name in present:
            axes.plot([], [], mark, color=shade, ms=5, label=name)
    axes.plot([], [], "o", color="white", mec=BLACK, ms=5.5, label=f"{LATE} times too late")
    legend(figure, axes, title="site")

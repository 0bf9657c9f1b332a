"""Where estimates go wrong: true ranks beside estimated ones, and effects that cancel over pairs.

They follow figures 4, 5 and 10 of Kramar et al. 2024 (arXiv 2403.00745).
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.report.frame import Results
from benchmark.report.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    axes_of,
    legend,
    log_axis,
)

# A node whose estimated rank is this many times its true one is a false negative.
LATE = 10
# Nodes beyond this rank by both rankings are not drawn.
LAST_RANK = 20_000
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
    """The nodes of a record that contribute, with their true and estimated ranks from 1.

    Nodes that rank low both ways are left out; the columns layer, site, unit and position say
    which node it is.
    """
    names = ("contribution", "estimate", *NODE)
    nodes = pd.DataFrame({name: results.scores(key, name) for name in names})
    for ranked, name in (("true_rank", "contribution"), ("estimated_rank", "estimate")):
        nodes[ranked] = nodes[name].rank(ascending=False, method="first", na_option="bottom")
    shown = nodes[["true_rank", "estimated_rank"]].min(axis=1) <= LAST_RANK
    found = nodes[shown & (nodes["contribution"] > 0)]
    return found.assign(site=[SITES[int(site)][0] for site in found["site"]])


def ranks_compared(ranks: dict[str, pd.DataFrame], title: str) -> Figure:
    """A panel for each method; below the diagonal, nodes that matter more than estimated.

    Args:
        ranks: for each method, true_rank, estimated_rank and site of its nodes.
        title: of the picture.
    """
    figure, panels = axes_of(title, len(ranks))
    last = max(one[["true_rank", "estimated_rank"]].to_numpy().max() for one in ranks.values())
    for axes, (method, nodes) in zip(panels, ranks.items(), strict=True):
        axes.plot([1, last], [1, last], color=BLACK, lw=0.8)
        axes.plot([LATE, last], [1, last / LATE], color=BLACK, lw=0.8, ls="--")
        late = nodes["estimated_rank"] >= LATE * nodes["true_rank"]
        _cloud(axes, nodes[~late])
        _false_negatives(axes, nodes[late])
        axes.set_title(f"{method}: {late.sum()} too late", fontsize=9)
        axes.set_xlabel("rank by the estimate")
        log_axis(axes, "x")
        log_axis(axes, "y")
    for axes in panels[1:]:
        axes.sharey(panels[0])
    panels[0].set_ylabel("true rank")
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
    size, left = np.abs(effects).sum(0), np.abs(effects.sum(0))
    moved = size > 0
    return size[moved], 1 - left[moved] / size[moved]


def _cloud(axes: Axes, nodes: pd.DataFrame) -> None:
    """One collection in the order of ranks, so that no site lies on top of the others."""
    shades = {name: shade for name, shade, _ in SITES}
    ordered = nodes.sort_values("true_rank")
    axes.scatter(
        ordered["estimated_rank"], ordered["true_rank"], s=7, c=ordered["site"].map(shades),
        alpha=0.35, lw=0, rasterized=True,
    )  # fmt: skip


def _false_negatives(axes: Axes, nodes: pd.DataFrame) -> None:
    for name, shade, mark in SITES:
        rows = nodes[nodes["site"] == name]
        axes.plot(rows["estimated_rank"], rows["true_rank"], mark, color=shade, mec=BLACK, ms=5.5)


def _name_sites(figure: Figure, axes: Axes, present: set[str]) -> None:
    for name, shade, mark in SITES:
        if name in present:
            axes.plot([], [], mark, color=shade, ms=5, label=name)
    axes.plot([], [], "o", color="white", mec=BLACK, ms=5.5, label=f"{LATE} times too late")
    legend(figure, axes, title="site")

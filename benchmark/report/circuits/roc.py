"""How well circuits recover a reference: true- against false-positive rate (Conmy et al. 2023).

The curve of a method is the pessimistic staircase through its circuits (arXiv 2304.14997, section
4.2): between two circuits the true-positive rate rises only at the end, so its area is the least
that they allow. Seeds are averaged at every false-positive rate.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmark.report.layout.looks import look
from benchmark.report.layout.pictures import axes_of, legend
from benchmark.statistics.areas import Numbers, pessimistic_corners

PARTS = {"edge": "edges", "component": "components"}


def roc(circuits: pd.DataFrame, title: str) -> Figure:
    """A panel for edges and one for components; in the legend, the areas under both staircases.

    Args:
        circuits: a row per circuit, with its rates; several seeds have several keys.
        title: of the picture.
    """
    figure, panels = axes_of(title, len(PARTS))
    for method, rows in circuits.groupby("method", sort=True):
        own = look(str(method))
        stairs = {part: _mean_staircase(rows, part) for part in PARTS}
        areas = [f"{np.diff(x) @ y[:-1]:.2f}" for x, y in stairs.values()]
        for axes, (x, y) in zip(panels, stairs.values(), strict=True):
            axes.plot(
                x, y, drawstyle="steps-post", ls=own.line, color=own.colour, marker=own.mark,
                ms=4, lw=1.4, alpha=0.85, label=f"{method}  {', '.join(areas)}", clip_on=False,
            )  # fmt: skip
    for axes, part in zip(panels, PARTS.values(), strict=True):
        axes.plot([0, 1], [0, 1], color="black", lw=0.6, alpha=0.4)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set(xlabel=f"false-positive rate ({part})", ylabel=f"true-positive rate ({part})")
    legend(figure, panels[0], title="pessimistic AUROC: edges, components")
    return figure


def _mean_staircase(rows: pd.DataFrame, part: str) -> tuple[Numbers, Numbers]:
    """Where the mean over seeds rises, and to what; it begins at (0, 0)."""
    corners = [
        np.array(
            pessimistic_corners(of_seed[f"{part}_false_positive_rate"], of_seed[f"{part}_recall"])
        )
        for _, of_seed in rows.groupby("key")
    ]
    x = np.unique(np.concatenate([stairs[:, 0] for stairs in corners] + [np.array([0.0, 1.0])]))
    y = [stairs[np.searchsorted(stairs[:, 0], x, side="right") - 1, 1] for stairs in corners]
    return np.concatenate([[0.0], x]), np.concatenate([[0.0], np.mean(y, axis=0)])

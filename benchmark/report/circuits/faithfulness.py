"""The picture of normalised faithfulness against size (Hanna et al. 2024, arXiv 2403.17806).

f = (m(circuit) - m(empty)) / (m(full) - m(empty)) for the logit difference m: 0 for the empty
circuit, 1 for the whole model, and beyond both for circuits that overshoot. The areas of Mueller
et al. 2025 (MIB), CPR under f and CMD under |1 - f|, stand in the legend. What papers published is
f of the task's own metric.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.layout.looks import look
from benchmark.report.layout.pictures import axes_of, legend, log_axis

# One curve far outside would flatten all others.
LOWEST, HIGHEST = -0.6, 2.1


def faithfulness_against_size(
    curves: pd.DataFrame, title: str, published: pd.DataFrame | None = None
) -> Figure:
    """A line per method, the mean over seeds and draws; known circuits as crosses.

    Args:
        curves: circuits that are not empty, with faithfulness and their record's cpr and cmd.
        title: of the picture.
        published: method, model, edges and faithfulness of what papers published.
    """
    figure, (axes,) = axes_of(title)
    axes.axhline(1.0, color="black", lw=0.8)
    for method, rows in curves.groupby("method", sort=True):
        _line(axes, rows, str(method))
    if published is not None:
        for (method, model), rows in published.groupby(["method", "model"], sort=True):
            own, rows = look(str(method)), rows.sort_values("size")
            label = f"{method} (published, {model}, task metric)"
            axes.plot(
                rows["size"], rows["faithfulness"], ls=":", color=own.colour, marker=own.mark,
                mfc="white", ms=4, lw=1.0, label=label,
            )  # fmt: skip
    log_axis(axes, "x")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, LOWEST), min(max(high, 1.1), HIGHEST))
    cut = "" if low >= LOWEST and high <= HIGHEST else ", cut off"
    axes.set_xlabel("edges in the circuit")
    axes.set_ylabel(f"normalised faithfulness (logit difference{cut})")
    legend(figure, axes, title="CPR (higher is better), CMD (lower is better)")
    return figure


def _line(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    own, areas = look(name), rows.drop_duplicates("key")[["cpr", "cmd"]].mean()
    if name.split(" ")[0] == "reference":
        axes.plot(
            rows["size"], rows["faithfulness"], "x", color=own.colour, ms=9, mew=2, label=name
        )
        return
    line = _means(rows)
    label = f"{name}  CPR {areas['cpr']:.2f}, CMD {areas['cmd']:.2f}"
    axes.plot(
        line["size"], line["faithfulness"], ls=own.line, color=own.colour, marker=own.mark,
        ms=4, lw=1.4, alpha=0.9, label=label,
    )  # fmt: skip


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Circuits of one requested size, or of one setting where the method chose, are averaged."""
    asked = rows["requested_size"].astype("string")
    place = asked.fillna(rows["setting"])
    return rows.groupby(place)[["size", "faithfulness"]].mean().sort_values("size")

"""The pictures of trained models."""

import pandas as pd
from matplotlib.figure import Figure

from benchmark.report.layout.looks import training_look
from benchmark.report.layout.pictures import axes_of, legend, log_axis

EDGES_AT = " edges at "
# Gaps below this are rounding.
SMALLEST_SHOWN = 1e-4


def sizes_by_perplexity(wide: pd.DataFrame, task: str) -> Figure:
    """A panel for each method: edges needed against perplexity, a mark for each record."""
    columns = [name for name in wide if EDGES_AT in str(name) and "templates" not in str(name)]
    level = columns[-1].partition(EDGES_AT)[2]
    shown = [name for name in columns if name.endswith(f"{EDGES_AT}{level}")]
    figure, panels = axes_of(f"{task}: edges for a loss gap of {level} nats", len(shown))
    for axes, column in zip(panels, shown, strict=True):
        for training, rows in wide.groupby("training"):
            how = training_look(str(training))
            axes.plot(
                rows["perplexity"], rows[column], ls="", color=how.colour,
                marker=how.mark, label=str(training),
            )  # fmt: skip
        axes.set_title(column.partition(EDGES_AT)[0], fontsize=9)
        axes.set_xlabel("perplexity")
        axes.locator_params(axis="x", nbins=5)
        axes.set_ylabel("edges needed")
        log_axis(axes, "y")
    legend(figure, panels[-1])
    return figure


def gaps_by_size(rows: pd.DataFrame, task: str) -> Figure:
    """A panel for each method: the loss gap against size, a line for each record."""
    methods = list(dict.fromkeys(rows["by"]))
    figure, panels = axes_of(f"{task}: loss gap against circuit size", len(methods))
    for axes, method in zip(panels, methods, strict=True):
        of_method = rows[rows["by"] == method]
        for training, some in of_method.groupby("training"):
            how = training_look(str(training))
            for place, (_, line) in enumerate(some.groupby("key", sort=False)):
                shown = line.query("size > 0 and loss_gap > @SMALLEST_SHOWN").sort_values("size")
                axes.plot(
                    shown["size"], shown["loss_gap"], lw=1, ms=3, color=how.colour,
                    marker=how.mark, label=None if place else str(training),
                )  # fmt: skip
        axes.set_title(str(method), fontsize=9)
        axes.set_xlabel("edges")
        axes.set_ylabel("loss gap, nats")
        log_axis(axes, "x")
        log_axis(axes, "y")
    legend(figure, panels[-1])
    return figure

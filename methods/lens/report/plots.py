"""The pictures of lenses' losses: by layer, and by the tokens that were read."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.layout.looks import look
from benchmark.report.layout.pictures import axes_of, legend, log_axis
from methods.lens.report.overall import LOSS


def losses_by_layer(losses: pd.DataFrame, published: pd.DataFrame, title: str) -> Figure:
    """A line with its band for each lens; published losses dotted."""
    figure, (axes,) = axes_of(title)
    for method, rows in losses.groupby("method", sort=False):
        _add_line(axes, str(method), rows["layer"], rows)
    if len(published):
        for lens, rows in published.groupby("lens", sort=False):
            axes.plot(
                rows["layer"], rows["loss"], ls=":", color=look(str(lens)).colour,
                label=f"{lens} (published)",
            )  # fmt: skip
    _finish(figure, axes, "before layer")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def losses_by_length(rows: pd.DataFrame, title: str) -> Figure:
    """The mean loss over layers against the tokens that were read, a line for each lens."""
    figure, (axes,) = axes_of(title)
    for method, some in rows.groupby("method", sort=False):
        _add_line(axes, str(method), some["length"].astype(int), some)
    _finish(figure, axes, "tokens read")
    return figure


def _add_line(axes: Axes, method: str, places: pd.Series, rows: pd.DataFrame) -> None:
    how = look(method)
    axes.plot(
        places, rows["loss"], color=how.colour, marker=how.mark, ls=how.line, ms=4, label=method
    )
    axes.fill_between(
        places, rows["loss_low"], rows["loss_high"], color=how.colour, alpha=0.15, lw=0
    )


def _finish(figure: Figure, axes: Axes, x: str) -> None:
    log_axis(axes, "y")
    axes.set_xlabel(x)
    axes.set_ylabel(LOSS)
    legend(figure, axes)

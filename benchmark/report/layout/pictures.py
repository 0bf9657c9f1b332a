"""How every picture is laid out: axes, legends, and the files that it is written to."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter, StrMethodFormatter

from benchmark.files import replacing
from benchmark.report.layout.tables import safe_csv

# The palette of Okabe & Ito (2008), but for yellow, which is too light for lines.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, GREY, BLACK = "#56B4E9", "#CC79A7", "#7F7F7F", "#000000"
# A log axis over a larger factor has marks at powers of ten alone.
WIDEST_WITH_STEPS = 2e3
# One that goes below this has powers of ten for all its numbers.
SMALLEST_PLAIN = 3e-5
# A legend of more entries stands beside the axes.
MOST_INSIDE = 6


def axes_of(title: str, n_panels: int = 1, per_row: int | None = None) -> tuple[Figure, list[Axes]]:
    """An empty picture: panels under one title, side by side or at most `per_row` of them."""
    columns = min(n_panels, per_row or n_panels)
    rows = math.ceil(n_panels / columns)
    figure = Figure(figsize=(2.2 + 4.2 * columns, 0.4 + 4.0 * rows), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    panels, spare = places[:n_panels], places[n_panels:]
    for axes in spare:
        axes.remove()
    for axes in panels:
        axes.grid(True, which="major", alpha=0.25, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    # Not the title of a single panel, which may have one of its own.
    figure.suptitle(title, fontsize=10)
    return figure, panels


def legend(figure: Figure, axes: Axes, title: str | None = None) -> None:
    """Name the lines, beside the axes if they are many or the legend has a title."""
    handles, labels = axes.get_legend_handles_labels()
    settings: dict[str, Any] = dict(frameon=False, fontsize=8, title=title, title_fontsize=8)
    if len(labels) > MOST_INSIDE or (labels and title):
        width, height = figure.get_size_inches()
        figure.set_size_inches(width + 0.6 + 0.065 * max(map(len, labels)), height)
        figure.legend(handles, labels, loc="outside right upper", **settings)
    elif labels:
        axes.legend(handles, labels, **settings)


def log_axis(axes: Axes, which: str) -> None:
    """A log axis with marks at 1, 2 and 5 of each power of ten if they fit; powers if tiny."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    least, most = axis.get_data_interval()
    if least > most:
        # Nothing to show; without limits a log axis cannot be drawn.
        (axes.set_xlim if which == "x" else axes.set_ylim)(1, 10)
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    low, high = axis.get_view_interval()
    wide = high / low > WIDEST_WITH_STEPS
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    tiny = LogFormatterSciNotation(minor_thresholds=(math.inf, math.inf))
    axis.set_major_formatter(tiny if low < SMALLEST_PLAIN else StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, data: pd.DataFrame, path: Path) -> list[Path]:
    """Write a picture as PNG and PDF and its data as CSV; return the three paths."""
    png, pdf, csv = (path.with_name(f"{path.name}.{ending}") for ending in ("png", "pdf", "csv"))
    with replacing(png) as temporary:
        figure.savefig(temporary, format="png", dpi=200, bbox_inches="tight")
    with replacing(pdf) as temporary:
        # Without a date, the same data give the same file.
        figure.savefig(
            temporary, format="pdf", bbox_inches="tight", metadata={"CreationDate": None}
        )
    with replacing(csv) as temporary:
        temporary.write_text(safe_csv(data, index=False, float_format="%.6g"))
    return [png, pdf, csv]

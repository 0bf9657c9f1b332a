"""How every picture looks: one colour and mark per method, readable by the colour-blind."""

import hashlib
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from benchmark.files import replacing

matplotlib.use("Agg")

# The palette of Okabe & Ito (2008), but for yellow, which is too light for lines.
COLOURS = {
    "ugs": "#0072B2",
    "eap": "#E69F00",
    "random": "#7F7F7F",
    "reference": "#000000",
    "hcgs": "#56B4E9",
    "acdc": "#D55E00",
    "eap_ig": "#009E73",
    "edge_pruning": "#CC79A7",
}
ABLATION_COLOURS = {
    "optimal": "#0072B2",
    "counterfactual": "#D55E00",
    "mean": "#009E73",
    "resample": "#CC79A7",
    "zero": "#000000",
    "gaussian": "#E69F00",
}
SPARE = ("#882255", "#44AA99", "#999933", "#332288", "#AA4499", "#117733")
# A log axis over a larger factor has marks at powers of ten alone.
WIDEST_WITH_STEPS = 2e3
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


def colour(name: str, known: dict[str, str] = COLOURS) -> str:
    """The colour of a method, or of an ablation; the same in every picture."""
    return known.get(name.split(" ")[0], SPARE[_number(name) % len(SPARE)])


def mark(name: str) -> str:
    """The mark of a method."""
    names = list(COLOURS)
    index = names.index(name) if name in names else _number(name)
    return MARKS[index % len(MARKS)]


def log_axis(axes: Axes, which: str) -> None:
    """A log axis in plain numbers, with marks at 1, 2 and 5 of each power of ten if they fit."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    low, high = axis.get_view_interval()
    wide = high / low > WIDEST_WITH_STEPS
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
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
        data.to_csv(temporary, index=False, float_format="%.6g")
    return [png, pdf, csv]


def _number(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)

"""The picture of a prompt's trajectory: tokens across, layers down, each cell what a lens says."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.errors import UserError

COLOURED_BY = ("probability", "entropy")
CELL = 0.62, 0.26
MOST_LETTERS = 9


def draw_trajectory(rows: pd.DataFrame, colour: str = "probability") -> Figure:
    """One panel for each lens.

    Args:
        rows: as `trajectory` gives them.
        colour: what cells are coloured by: probability or entropy (in nats).

    Raises:
        UserError: there is no such colour.
    """
    if colour not in COLOURED_BY:
        raise UserError(f"colour={colour!r} is not one of {', '.join(COLOURED_BY)}")
    lenses = list(rows["lens"].unique())
    n_positions, n_layers = rows["position"].nunique(), rows["layer"].nunique()
    width, height = 1.6 + CELL[0] * n_positions, len(lenses) * (0.8 + CELL[1] * n_layers)
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(len(lenses), 1, squeeze=False)[:, 0]
    largest = 1.0 if colour == "probability" else float(rows[colour].max())
    for axes, name in zip(panels, lenses, strict=True):
        image = _panel(axes, rows[rows["lens"] == name], colour, largest)
        axes.set_title(str(name), fontsize=9)
    unit = " (nats)" if colour == "entropy" else ""
    figure.colorbar(image, ax=list(panels), label=f"{colour}{unit}", shrink=0.8, pad=0.01)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, colour: str, largest: float):  # noqa: ANN202
    numbers = rows.pivot(index="layer", columns="position", values=colour).to_numpy()
    words = rows.pivot(index="layer", columns="position", values="top").to_numpy()
    shades = "Blues" if colour == "probability" else "Blues_r"
    image = axes.imshow(numbers, cmap=shades, vmin=0, vmax=largest, aspect="auto")
    dark = numbers > 0.6 * largest if colour == "probability" else numbers < 0.4 * largest
    for layer, position in np.ndindex(numbers.shape):
        axes.text(
            position, layer, shown(words[layer, position]), ha="center", va="center", fontsize=6,
            color="white" if dark[layer, position] else "black", parse_math=False,
        )  # fmt: skip
    tokens = rows.drop_duplicates("position").sort_values("position")["token"]
    axes.set_xticks(range(len(tokens)), [shown(token) for token in tokens], rotation=45, fontsize=7)
    for label in axes.get_xticklabels():
        label.set_parse_math(False)
        label.set_horizontalalignment("right")
    last = numbers.shape[0] - 1
    axes.set_yticks(range(last + 1), [*map(str, range(last)), "model"], fontsize=7)
    axes.set_ylabel("before layer", fontsize=8)
    return image


def shown(token: str) -> str:
    """A token in few letters, with a dot for every space and a sign for every end of a line."""
    visible = token.replace(" ", "·").replace("\n", "↵")
    visible = "".join(letter if letter.isprintable() else "?" for letter in visible)
    return visible if len(visible) <= MOST_LETTERS else visible[: MOST_LETTERS - 1] + "…"

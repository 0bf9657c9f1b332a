"""Pictures of causal tracing: effects against layers, averages over tokens, a fact's own grid.

The first is figure 2 of Li & Janson 2024 and those of its appendix, the others are figures 1 and 2
of Meng et al. 2022.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.layout.looks import DASHES, MARKS, Line, ablation_colour
from benchmark.report.layout.pictures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    axes_of,
    legend,
)
from methods.tracing.report.series import ORDER, PARTS, TOKENS, layers
from methods.tracing.tokens import TOKENS as KINDS_OF_TOKENS

EFFECT = "average indirect effect"
COLOURS_OF_TOKENS = (ORANGE, GREEN, VERMILION, PURPLE, GREY, BLUE)


def effects_by_layer(
    series: dict[str, pd.DataFrame], where: str, title: str, published: pd.DataFrame | None
) -> Figure:
    """Effects against layers, a panel for each part and window, a line for each corruption.

    Args:
        series: the rows of layers of each corruption.
        where: which tokens are restored.
        title: of the picture.
        published: the published effects, or None to show none.
    """
    chosen = {name: rows[rows["where"] == where] for name, rows in series.items()}
    every = pd.concat(chosen.values())
    places = every[["restored", "window"]].drop_duplicates().to_dict("records")
    dashes = _dashes(chosen)
    figure, panels = axes_of(f"{title}\nrestored at the {TOKENS[where]}", len(places), 3)
    for axes, place in zip(panels, places, strict=True):
        for name, rows in chosen.items():
            _line(axes, name, rows[(rows[[*place]] == place).all(axis=1)], dashes[name])
        if published is not None:
            _published(axes, published, place | {"tokens": where})
        axes.set_title(_panel(place), fontsize=9)
        axes.set_xlabel("layer")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.axhline(0, color=GREY, lw=0.6)
    for axes in panels[::3]:
        axes.set_ylabel(EFFECT)
    # Beside the axes, for all panels.
    legend(figure, panels[0], title="95 % intervals over facts")
    return figure


def effects_by_token(rows: pd.DataFrame, title: str) -> Figure:
    """The probability that comes back against layers, a line for each kind of token."""
    places = rows[["restored", "window"]].drop_duplicates().to_dict("records")
    figure, panels = axes_of(title, len(places))
    for axes, place in zip(panels, places, strict=True):
        own = rows[(rows[[*place]] == place).all(axis=1)]
        for kind, colour, mark in zip(KINDS_OF_TOKENS, COLOURS_OF_TOKENS, MARKS, strict=False):
            line = own[own["token"] == kind]
            if len(line):
                _with_band(axes, line, kind, colour, mark)
        axes.set_title(_panel(place), fontsize=9)
        axes.set_xlabel(_centre(place))
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set_ylabel("probability of the answer that comes back")
    legend(figure, panels[0], title="one token restored,\n95 % intervals over facts")
    return figure


def grid_of_fact(rows: pd.DataFrame, title: str) -> Figure:
    """Tokens down (the subject's starred), layers across, the answer's probability as colour."""
    places = rows[["restored", "window"]].drop_duplicates().to_dict("records")
    figure, panels = axes_of(title, len(places))
    levels = rows[["corrupted_probability", "clean_probability"]].iloc[0]
    darkest = min(levels.min(), rows["value"].min())
    image = None
    for axes, place in zip(panels, places, strict=True):
        own = rows[(rows[[*place]] == place).all(axis=1)]
        grid = own.pivot_table(index="position", columns="layer", values="value").to_numpy(float)
        tokens = own.drop_duplicates("position")["token"]
        shown: dict[str, Any] = dict(aspect="auto", cmap="viridis", interpolation="nearest")
        image = axes.imshow(grid, vmin=darkest, vmax=levels.max(), **shown)
        axes.set_yticks(range(len(tokens)), [_plain(token) for token in tokens], fontsize=8)
        axes.set_title(_panel(place), fontsize=9)
        axes.set_xlabel(_centre(place))
        axes.grid(False)
    height = 1.4 + 0.32 * rows["position"].nunique()
    figure.set_size_inches(figure.get_size_inches()[0], max(3.0, height))
    assert image is not None
    bar = figure.colorbar(image, ax=panels, fraction=0.03)
    bar.set_label("probability of the answer", fontsize=8)
    return figure


def _line(axes: Axes, name: str, rows: pd.DataFrame, dash: Line) -> None:
    option = name.split(" ")[0]
    mark = MARKS[ORDER.index(option)] if option in ORDER else MARKS[-1]
    _with_band(axes, rows, name, ablation_colour(name), mark, dash)


def _dashes(names: Iterable[str]) -> dict[str, Line]:
    """Lines of one ablation, which share a colour and a mark, are dashed in ways of their own."""
    seen: Counter[str] = Counter()
    found = {}
    for name in names:
        option = name.split(" ")[0]
        found[name] = list(DASHES.values())[seen[option] % len(DASHES)]
        seen[option] += 1
    return found


def _with_band(
    axes: Axes, rows: pd.DataFrame, name: str, colour: str, mark: str, dash: Line = "-"
) -> None:
    rows = rows.sort_values("layer")
    x = rows["layer"].to_numpy(float)
    value, low, high = (rows[column].to_numpy(float) for column in ("value", "low", "high"))
    axes.plot(x, value, color=colour, marker=mark, ms=3.5, lw=1.2, ls=dash, label=name)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)


def _published(axes: Axes, published: pd.DataFrame, place: dict[str, Any]) -> None:
    rows = published[(published[[*place]] == place).all(axis=1)]
    for ablation, points in rows.groupby("ablation"):
        colour = ablation_colour(str(ablation))
        look: dict[str, Any] = dict(ls="", marker="o", mfc="none", ms=6, color=colour)
        # There the first layer is dropped, and the second is 0.
        x = points["layer"].to_numpy(float) + 1
        axes.plot(x, points["value"], label=f"{ablation}, published", **look)


def _panel(place: dict[str, Any]) -> str:
    width = "" if place["restored"] == "state" else f", window of {layers(int(place['window']))}"
    return f"{PARTS[place['restored']]}{width}"


def _centre(place: dict[str, Any]) -> str:
    return "layer" if int(place["window"]) == 1 else "centre of the window"


def _plain(token: object) -> str:
    """A token without line breaks or signs that matplotlib would read as mathematics."""
    return str(token).strip().replace("\n", "\\n").replace("$", r"\$") or "(space)"

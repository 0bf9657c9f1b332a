"""A circuit drawn: nodes in layers from the input below to the logits above.

An edge is drawn once for each pair of nodes, coloured by the inputs that it reaches (query, key,
value, or another); its width tells how many of them. Needs nothing but matplotlib.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from benchmark.graph.circuits_file import StoredCircuits
from benchmark.records.record import CIRCUITS_FILE

# The circuit that is drawn is the one with about this many edges: more cannot be read.
READABLE = 40
READER_COLOURS = {"q": "#0072B2", "k": "#D55E00", "v": "#009E73", "": "#7F7F7F"}
NAMES = {"q": "query", "k": "key", "v": "value", "": "MLP or logits"}
MIXED = "#444444"


Nodes = list[str]


def readable_circuit(folder: Path) -> tuple[Nodes, pd.DataFrame]:
    """The nodes of a record's graph in order, and the edges of its most readable circuit."""
    stored = StoredCircuits.read(folder / CIRCUITS_FILE)
    sizes = (stored.keep > 0).sum((1, 2))
    apart = np.abs(np.log1p(sizes) - np.log1p(READABLE))
    return _edges(stored, np.where((sizes > 0) | ~sizes.any(), apart, np.inf).argmin())


def circuit_at(folder: Path, setting: str) -> tuple[Nodes, pd.DataFrame] | None:
    """The nodes of a record's graph in order, and the edges of the circuit of a setting.

    None if the record has no circuits, or none of that setting.
    """
    if not (folder / CIRCUITS_FILE).is_file():
        return None
    stored = StoredCircuits.read(folder / CIRCUITS_FILE)
    if setting not in stored.settings:
        return None
    return _edges(stored, stored.settings.index(setting))


def _edges(stored: StoredCircuits, which: int | np.intp) -> tuple[Nodes, pd.DataFrame]:
    graph = stored.graph
    pairs = np.argwhere(stored.keep[which] > 0)
    kept = [(graph.sources[u], graph.destinations[v]) for u, v in pairs]
    return [*graph.sources, "logits"], pd.DataFrame(kept, columns=["source", "destination"])


def draw_edges(edges: pd.DataFrame, names: Nodes, title: str) -> Figure:
    """A picture of these edges; `names` are all nodes of the graph, in order."""
    return draw_side_by_side({title: edges}, names)


def draw_side_by_side(circuits: dict[str, pd.DataFrame], names: Nodes) -> Figure:
    """Circuits of one graph by title, whose nodes have the same places in all."""
    pairs = {title: _readers(edges) for title, edges in circuits.items()}
    used = {node for of_one in pairs.values() for pair in of_one for node in pair}
    place = _places([name for name in names if name in used | {"input", "logits"}])
    height = 1.5 + 0.75 * len({y for _, y in place.values()})
    figure = Figure(figsize=(7.5 * len(circuits), height), layout="constrained")
    panels = figure.subplots(1, len(circuits), squeeze=False)[0]
    for axes, (title, edges) in zip(panels, circuits.items(), strict=True):
        _draw_on(axes, pairs[title], place)
        axes.set_title(f"{title}: {len(edges)} edges", fontsize=10)
    _legend(panels[0], [readers for of_one in pairs.values() for readers in of_one.values()])
    return figure


def _readers(edges: pd.DataFrame) -> dict[tuple[str, str], list[str]]:
    """The inputs that edges reach, by the nodes that they join."""
    pairs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for source, destination in edges.itertuples(index=False):
        node, _, reader = destination.partition("<")
        pairs[source, node].append(reader.rstrip(">"))
    return pairs


def _draw_on(
    axes: Axes, pairs: dict[tuple[str, str], list[str]], place: dict[str, tuple[float, float]]
) -> None:
    for (source, node), readers in pairs.items():
        axes.add_patch(_arrow(place[source], place[node], readers))
    used = {node for pair in pairs for node in pair} | {"input", "logits"}
    for name in used:
        box: dict[str, Any] = dict(boxstyle="round,pad=0.25", fc="white", ec="black", lw=0.8)
        axes.text(*place[name], name, ha="center", va="center", fontsize=8, bbox=box, zorder=3)
    across, up = zip(*place.values(), strict=True)
    axes.set_xlim(min(across) - 1, max(across) + 1)
    axes.set_ylim(min(up) - 0.6, max(up) + 0.6)
    axes.set_axis_off()


def _legend(axes: Axes, all_readers: list[list[str]]) -> None:
    shown = {reader for readers in all_readers for reader in readers}
    lines = [
        Line2D([], [], color=READER_COLOURS[k], label=NAMES[k])
        for k in READER_COLOURS
        if k in shown
    ]
    if any(len(set(readers)) > 1 for readers in all_readers):
        lines.append(Line2D([], [], color=MIXED, lw=2, label="several of them"))
    if lines:
        axes.legend(handles=lines, frameon=False, fontsize=8, loc="upper left")


def _places(names: list[str]) -> dict[str, tuple[float, float]]:
    """A level for each layer's heads and another for its MLP, heads side by side."""
    levels: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name in names:
        levels[_level(name)].append(name)
    place = {}
    for row, level in enumerate(sorted(levels)):
        members = levels[level]
        # An MLP stands beside the heads, so that its edges do not run through them.
        shift = 0.55 * (row % 2) if len(members) > 1 else 0.0
        for index, name in enumerate(members):
            place[name] = (2.0 * (index - (len(members) - 1) / 2) + shift, float(row))
    return place


def _level(name: str) -> tuple[int, int]:
    if name == "input":
        return -1, 0
    if name == "logits":
        return 10**6, 0
    return int(name[1:].split(".")[0]), int(name.startswith("m"))


def _arrow(
    start: tuple[float, float], end: tuple[float, float], readers: list[str]
) -> FancyArrowPatch:
    kinds = set(readers)
    shade = READER_COLOURS[kinds.pop()] if len(kinds) == 1 else MIXED
    # Long edges bow out, so that they pass beside the nodes between.
    bend = 0.06 * (end[1] - start[1] - 1) * (1 if start[0] + end[0] >= 0 else -1)
    return FancyArrowPatch(
        start,
        end,
        connectionstyle=f"arc3,rad={bend}",
        arrowstyle="-|>",
        mutation_scale=8,
        shrinkA=9,
        shrinkB=9,
        color=shade,
        lw=0.6 + 0.5 * len(readers),
        alpha=0.7,
        zorder=1,
    )

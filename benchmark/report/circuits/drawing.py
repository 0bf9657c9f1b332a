"""A circuit drawn: nodes in layers from the input below to the logits above.

An edge is drawn once for each pair of nodes, coloured by the inputs that it reaches (query, key,
value, or another); its width tells how many of them. Needs nothing but matplotlib.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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


def readable_circuit(folder: Path) -> tuple[list[str], pd.DataFrame]:
    """The nodes of a record's graph in order, and the edges of its most readable circuit."""
    stored = StoredCircuits.read(folder / CIRCUITS_FILE)
    kept_edges, graph = stored.keep > 0, stored.graph
    sizes = kept_edges.sum((1, 2))
    apart = np.abs(np.log1p(sizes) - np.log1p(READABLE))
    nearest = np.where((sizes > 0) | ~sizes.any(), apart, np.inf).argmin()
    pairs = np.argwhere(kept_edges[nearest])
    kept = [(graph.sources[u], graph.destinations[v]) for u, v in pairs]
    return [*graph.sources, "logits"], pd.DataFrame(kept, columns=["source", "destination"])


def draw_edges(edges: pd.DataFrame, names: list[str], title: str) -> Figure:
    """A picture of these edges; `names` are all nodes of the graph, in order."""
    pairs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for source, destination in edges.itertuples(index=False):
        node, _, reader = destination.partition("<")
        pairs[source, node].append(reader.rstrip(">"))
    used = {node for pair in pairs for node in pair} | {"input", "logits"}
    place = _places([name for name in names if name in used])
    height = 1.5 + 0.75 * len({y for _, y in place.values()})
    figure = Figure(figsize=(7.5, height), layout="constrained")
    axes = figure.subplots()
    for (source, node), readers in pairs.items():
        axes.add_patch(_arrow(place[source], place[node], readers))
    for name, (x, y) in place.items():
        box: dict[str, Any] = dict(boxstyle="round,pad=0.25", fc="white", ec="black", lw=0.8)
        axes.text(x, y, name, ha="center", va="center", fontsize=8, bbox=box, zorder=3)
    across, up = zip(*place.values(), strict=True)
    axes.set_xlim(min(across) - 1, max(across) + 1)
    axes.set_ylim(min(up) - 0.6, max(up) + 0.6)
    axes.set_axis_off()
    axes.set_title(f"{title}: {len(edges)} edges", fontsize=10)
    shown = {reader for readers in pairs.values() for reader in readers}
    lines = [
        Line2D([], [], color=READER_COLOURS[k], label=NAMES[k])
        for k in READER_COLOURS
        if k in shown
    ]
    if any(len(set(readers)) > 1 for readers in pairs.values()):
        lines.append(Line2D([], [], color=MIXED, lw=2, label="several of them"))
    if lines:
        axes.legend(handles=lines, frameon=False, fontsize=8, loc="upper left")
    return figure


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

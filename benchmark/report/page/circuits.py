"""The circuits of a record as the page draws them: nodes, edges, scores, and which has what."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmark.digests import digest
from benchmark.graph.circuits_file import StoredCircuits, StoredScores
from benchmark.records.record import CIRCUITS_FILE, SCORES, Record
from benchmark.report.page.numbers import short

# A circuit of more edges is named with its size, and not drawn.
MOST_EDGES = 5000


def circuits_of(record: Record, folder: Path) -> dict[str, Any]:
    """The graph, the edges that any circuit of a record has, and its circuits, smallest first.

    Returns:
        `graph`, the same for all records of one graph; `sources` and `destinations`, their names;
        `edges`, pairs of indices into both; `scores`, for each ranking that the method left its
        name and a score for each of `edges`; `circuits`, each with its words, its size, and
        indices into `edges`, or null where it is too large.
    """
    stored = StoredCircuits.read(folder / CIRCUITS_FILE)
    kept = stored.keep > 0
    sizes = kept.sum((1, 2))
    drawn = kept & (sizes <= MOST_EDGES)[:, None, None]
    edges = np.argwhere(drawn.any(0))
    place = np.full(kept.shape[1:], -1)
    place[tuple(edges.T)] = np.arange(len(edges))
    outline = stored.graph
    return {
        "graph": digest([outline.sources, outline.destinations])[:12],
        "sources": outline.sources,
        "destinations": outline.destinations,
        "edges": edges.tolist(),
        "scores": _scores(record, folder, edges),
        "circuits": [
            {
                "words": stored.settings[number],
                "size": int(sizes[number]),
                "edges": place[kept[number]].tolist() if sizes[number] <= MOST_EDGES else None,
            }
            for number in np.argsort(sizes, kind="stable").tolist()
        ],
    }


def _scores(record: Record, folder: Path, edges: np.ndarray) -> list[dict[str, Any]]:
    if SCORES not in record.files:
        return []
    stored = StoredScores.read(folder / SCORES)
    return [
        {"name": name, "values": [short(x) for x in value[tuple(edges.T)].tolist()]}
        for name, value in zip(stored.names, stored.value, strict=True)
    ]

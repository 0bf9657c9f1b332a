"""One circuit of a record as named nodes and edges, whatever it is written as. Needs no torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.errors import UserError
from benchmark.graph.circuits_file import GraphOutline, StoredCircuits, StoredScores
from benchmark.records.record import CIRCUITS_FILE, SCORES, Record
from benchmark.report.circuits.drawing import READABLE


@dataclass(frozen=True)
class Edge:
    """An edge of a circuit.

    Attributes:
        source: the component that writes, as `a5.h1`.
        node: the component that reads, or `logits`.
        reader: as what it reads: q, k or v, or nothing for an MLP and the logits.
        score: what its method ranked it by, if it did.
    """

    source: str
    node: str
    reader: str
    score: float | None


@dataclass(frozen=True)
class NamedCircuit:
    """A circuit.

    Attributes:
        graph: the graph that it is of.
        setting: what the method was set to for it.
        edges: its edges, by source and then by reader in the order of the graph.
    """

    graph: GraphOutline
    setting: str
    edges: tuple[Edge, ...]

    @property
    def nodes(self) -> list[str]:
        """The nodes that an edge touches, in the order of the graph."""
        used = {name for edge in self.edges for name in (edge.source, edge.node)}
        return [name for name in (*self.graph.sources, "logits") if name in used]


def circuit_of(record: Record, folder: Path, size: int | None = None) -> NamedCircuit:
    """The largest circuit of a record of at most `size` edges; None is the one of about 40.

    Raises:
        UserError: the record has no circuits, or none as small.
    """
    if CIRCUITS_FILE not in record.files:
        raise UserError(f"record {record.key} ({record.kind}) has no circuits; give another key")
    stored = StoredCircuits.read(folder / CIRCUITS_FILE)
    kept = stored.keep > 0
    sizes = kept.sum((1, 2))
    number = _chosen(record.key, sizes, size)
    scores = _scores(record, folder)
    edges = tuple(
        _edge(stored.graph, u, v, None if scores is None else float(scores[u, v]))
        for u, v in np.argwhere(kept[number]).tolist()
    )
    return NamedCircuit(stored.graph, stored.settings[number], edges)


def _chosen(key: str, sizes: np.ndarray, size: int | None) -> int:
    some = sizes > 0
    if size is None:
        apart = np.abs(np.log1p(sizes) - np.log1p(READABLE))
        return int(np.where(some, apart, np.inf).argmin())
    fitting = some & (sizes <= size)
    if not fitting.any():
        least = sizes[some].min(initial=sizes.max(initial=0))
        raise UserError(f"size={size}: the smallest circuit of record {key} has {least} edges")
    return int(np.where(fitting, sizes, -1).argmax())


def _scores(record: Record, folder: Path) -> np.ndarray | None:
    """The only ranking that the method left; of several none is the circuit's."""
    if SCORES not in record.files:
        return None
    value = StoredScores.read(folder / SCORES).value
    return value[0] if len(value) == 1 else None


def _edge(graph: GraphOutline, source: int, destination: int, score: float | None) -> Edge:
    node, _, reader = graph.destinations[destination].partition("<")
    return Edge(graph.sources[source], node, reader.rstrip(">"), score)

"""Reference circuits: the edges that a paper, or a construction, says do the work.

A reference is a JSON file. It names its source and the models it is true of, and gives the edges
one by one, or as connections between groups of nodes, of which every edge counts that the graph
has: `[["previous"], ["induction"], "kv"]` is each edge from a head of one group to the keys and
values of a head of the other.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from benchmark.models.loading import LanguageModel

FILE = "reference.json"


@dataclass(frozen=True)
class Reference:
    """A circuit with its origin.

    Attributes:
        task: the task family it is about ("ioi").
        source: where it comes from, and in which definition.
        models: names of the models it is true of; empty for the model it lies beside.
        facts: everything that the file says.
        mask: its edges.
    """

    task: str
    source: str
    models: tuple[str, ...]
    facts: dict[str, Any]
    mask: EdgeMask

    @property
    def n_edges_acdc(self) -> int:
        """Edges in the graph of Conmy et al. 2023 (arXiv 2304.14997).

        There each query, key and value input is one more edge, from a head's reader to the head.
        """
        fed = (self.mask.keep > 0).any(0).tolist()
        names = self.mask.graph.destinations
        return self.mask.size + sum(f for f, name in zip(fed, names, strict=True) if "<" in name)


def read_reference(path: Path, graph: ComputationalGraph) -> Reference:
    """The reference circuit of a file on a graph.

    Raises:
        UserError: the file is damaged, or its nodes or the number of its edges do not fit.
    """
    content = _read(path)
    missing = [key for key in ("task", "source", "models", "n_edges") if key not in content]
    if missing:
        raise UserError(f"reference circuit {path} does not say its {missing[0]!r}")
    try:
        edges = _edges(content, graph)
    except KeyError as error:
        raise UserError(f"reference circuit {path} names {error}, which there is not") from error
    mask = EdgeMask.of_edges(graph, edges)
    if mask.size != content["n_edges"]:
        raise UserError(
            f"reference circuit {path} has {mask.size} edges on this graph, but says "
            f"{content['n_edges']}"
        )
    return Reference(content["task"], content["source"], tuple(content["models"]), content, mask)


def reference_circuits(family: str, model: LanguageModel) -> dict[str, Reference]:
    """Every reference circuit of a family of tasks and a model, by file name without its ending.

    A published circuit counts if it names the model; a reference.json in the model's directory
    counts for the family that it names.
    """
    published = sorted(Path(__file__).parent.glob("*.json"))
    own = Path(model.source) / FILE
    found = {}
    for path in [*published, own]:
        if not path.is_file():
            continue
        content = _read(path)
        fits = path == own or not {model.name, model.source}.isdisjoint(content.get("models", ()))
        if fits and content.get("task") == family:
            found[path.stem] = read_reference(path, model.graph)
    return found


def reference_masks(family: str, model: LanguageModel) -> dict[str, EdgeMask]:
    """The same circuits as masks."""
    return {name: found.mask for name, found in reference_circuits(family, model).items()}


def published_digest(family: str) -> str:
    """A digest of the published circuits of a family of tasks."""
    contents = [_read(path) for path in sorted(Path(__file__).parent.glob("*.json"))]
    return digest([content for content in contents if content.get("task") == family])


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"reference circuit {path} cannot be read: {error}") from error


def _edges(content: dict[str, Any], graph: ComputationalGraph) -> list[str]:
    edges = dict.fromkeys(content.get("edges", []))
    groups: dict[str, list[str]] = content.get("groups", {})
    for sources, destinations, letters in content.get("connections", []):
        for source in (node for name in sources for node in groups[name]):
            for node in (node for name in destinations for node in groups[name]):
                edges.update(dict.fromkeys(_between(source, node, letters, graph)))
    return list(edges)


def _between(source: str, node: str, letters: str, graph: ComputationalGraph) -> list[str]:
    """The existing edges from a source to a node's readers."""
    readers = [f"{node}<{letter}>" for letter in letters] if node.startswith("a") else [node]
    u = graph.source_index[source]
    existing = (v for v in readers if graph.exists[u, graph.destination_index[v]])
    return [f"{source}->{v}" for v in existing]

"""The two forms of EAP-IG's circuit files: edges by name (JSON), and matrices (`.pt`).

Both are turned from plain values into matrices over our graph, and back. The layout is that of
the authors' `Graph.to_json` and `Graph.to_pt` (Hanna et al. 2024, arXiv 2403.17806). As in MIB,
a binary circuit may lack scores, and an edge that its JSON does not list is not in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph

NEURONS = ("neurons", "neurons_in_graph", "neurons_scores")
LOGITS = "logits"


@dataclass(frozen=True, eq=False)
class FileContent:
    """What a file says, before it is judged.

    Attributes:
        keep: which edges are in the circuit, as numbers.
        scores: of all edges, with anything off the graph; None if no edge has one.
        names_nodes: it says something of single nodes.
    """

    keep: Float[Tensor, "src dst"]
    scores: Float[Tensor, "src dst"] | None
    names_nodes: bool


def from_json(content: Mapping[str, Any], graph: ComputationalGraph) -> FileContent:
    """The matrices of JSON content.

    Raises:
        UserError: a name is not of this graph, or a value is missing or no number.
    """
    nodes, edges = _named(content, "nodes"), _scored(_named(content, "edges"))
    _refuse_neurons(key for node in nodes.values() for key in node)
    names_nodes = any(
        "score" in node or node.get("in_graph") for name, node in nodes.items() if name != LOGITS
    )
    flat = _flat_indices(graph)
    for name in edges:
        if name not in flat:
            graph.edge(name)
    keep = _matrix(graph, flat, edges, "in_graph").float()
    if not any("score" in edge for edge in edges.values()):
        return FileContent(keep, None, names_nodes)
    if len(edges) < graph.n_edges:
        missing = next(name for name in flat if name not in edges)
        raise UserError(f"it scores {len(edges):,} of {graph.n_edges:,} edges, but not {missing}")
    return FileContent(keep, _matrix(graph, flat, edges, "score"), names_nodes)


def to_json(
    graph: ComputationalGraph,
    scores: Float[Tensor, "src dst"],
    kept: Bool[Tensor, "src dst"],
) -> dict[str, Any]:
    """Nodes and edges by name."""
    nodes = zip(graph.sources, _nodes_in_graph(graph, kept).tolist(), strict=True)
    columns = {
        "in_graph": kept[graph.exists].tolist(),
        "score": scores[graph.exists].tolist(),
    }
    edges = zip(_flat_indices(graph), zip(*columns.values(), strict=True), strict=True)
    return {
        "nodes": {name: {"in_graph": inside} for name, inside in (*nodes, (LOGITS, True))},
        "edges": {name: dict(zip(columns, row, strict=True)) for name, row in edges},
    }


def from_pt(content: Mapping[str, Any], graph: ComputationalGraph) -> FileContent:
    """The matrices of the content of a `.pt` file.

    Raises:
        UserError: the nodes are not those of this graph, or a matrix has another shape.
    """
    _refuse_neurons(content)
    for key, names in (("src_nodes", graph.sources), ("dst_nodes", graph.destinations)):
        if not isinstance(content[key], list) or tuple(content[key]) != names:
            raise UserError(f"its {key} are not those of this model, {names[0]} to {names[-1]}")
    shape = graph.exists.shape
    nodes = _tensor(content, "nodes_in_graph", shape[:1])
    scores = _tensor(content, "edges_scores", shape) if "edges_scores" in content else None
    return FileContent(
        keep=_tensor(content, "edges_in_graph", shape).float(),
        scores=scores if scores is None or scores.is_floating_point() else scores.double(),
        names_nodes="nodes_scores" in content or bool(nodes.any()),
    )


def to_pt(
    graph: ComputationalGraph,
    scores: Float[Tensor, "src dst"],
    kept: Bool[Tensor, "src dst"],
) -> dict[str, Any]:
    """The names of sources and destinations, and matrices over them."""
    return {
        "src_nodes": list(graph.sources),
        "dst_nodes": list(graph.destinations),
        "edges_scores": scores.contiguous(),
        "edges_in_graph": kept,
        "nodes_in_graph": _nodes_in_graph(graph, kept),
    }


def _nodes_in_graph(
    graph: ComputationalGraph, kept: Bool[Tensor, "src dst"]
) -> Bool[Tensor, " src"]:
    """The sources with both a kept in-edge and a kept out-edge; the input needs none into it."""
    fed = torch.zeros(graph.n_sources, dtype=torch.bool)
    fed[0] = True
    fed[torch.tensor(graph.writer_of[:-1])[kept[:, :-1].any(0)]] = True
    return fed & kept.any(1)


def _refuse_neurons(keys: Iterable[str]) -> None:
    if set(NEURONS) & set(keys):
        raise UserError("it is a circuit of neurons, not of edges")


def _flat_indices(graph: ComputationalGraph) -> dict[str, int]:
    """Every edge's name and its place in the flat matrix, in order."""
    pairs = graph.exists.nonzero().tolist()
    return {graph.edge_name(u, v): u * graph.n_destinations + v for u, v in pairs}


def _named(content: Mapping[str, Any], key: str) -> Mapping[str, Mapping[str, Any]]:
    """Facts by name; earlier versions of EAP-IG say of a node only whether it is in the circuit."""
    value = content[key]
    if isinstance(value, dict) and key == "nodes":
        plain = (
            {"in_graph": facts} if isinstance(facts, bool) else facts for facts in value.values()
        )
        value = dict(zip(value, plain, strict=True))
    if not isinstance(value, dict) or not all(isinstance(facts, dict) for facts in value.values()):
        raise UserError(f"its {key} are not facts by name")
    return value


def _scored(edges: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Edges without their scores if none has one: earlier versions of EAP-IG write null."""
    if any(edge.get("score") is not None for edge in edges.values()):
        return edges
    return {
        name: {key: fact for key, fact in edge.items() if key != "score"}
        for name, edge in edges.items()
    }


def _matrix(
    graph: ComputationalGraph,
    flat: Mapping[str, int],
    edges: Mapping[str, Mapping[str, Any]],
    key: str,
) -> Float[Tensor, "src dst"]:
    """One fact of each edge; zero where it is not listed."""
    for name, facts in edges.items():
        if not isinstance(facts.get(key), float | bool):
            raise UserError(f"its edge {name} has {key}={facts.get(key)!r}, which is no number")
    matrix = torch.zeros(graph.exists.shape, dtype=torch.float64)
    places = torch.tensor([flat[name] for name in edges], dtype=torch.long)
    values = torch.tensor([facts[key] for facts in edges.values()], dtype=matrix.dtype)
    return matrix.view(-1).index_put((places,), values).view_as(matrix)


def _tensor(content: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> Tensor:
    value = content[key]
    plain = isinstance(value, Tensor) and value.layout is torch.strided and not value.is_complex()
    if not plain or tuple(value.shape) != tuple(shape) or value.device.type != "cpu":
        given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise UserError(f"its {key} is {given}, and not a tensor of shape {tuple(shape)}")
    return value.detach()

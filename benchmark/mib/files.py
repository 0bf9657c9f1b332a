"""Circuit files of the MIB circuit track, read and written (Mueller et al. 2025, 2504.13151).

They are the files of EAP-IG, whose nodes, edges and orders are those of our graph. An importance
file scores all edges; a binary file says which edges are in the circuit, and has zeros for scores,
without which EAP-IG's loader and the track's public one do not read it. A `.pt` file is read as
tensors and plain values, so nothing in it is ever run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import UserError
from benchmark.files import replacing
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from benchmark.graph.scores import EdgeScores
from benchmark.mib.forms import FileContent, from_json, from_pt, to_json, to_pt

NEEDED = {
    ".json": ("cfg", "nodes", "edges"),
    ".pt": ("cfg", "src_nodes", "dst_nodes", "edges_in_graph", "nodes_in_graph"),
}


@dataclass(frozen=True, eq=False)
class MibCircuit:
    """What a circuit file says of its edges: scores, a circuit, or both.

    Attributes:
        scores: of an importance file, ranked as they are; None of a binary file, in which they
            are missing, or all zero.
        mask: the circuit of a binary file; None where edges have scores and none is in it.
    """

    scores: EdgeScores | None = None
    mask: EdgeMask | None = None

    @property
    def graph(self) -> ComputationalGraph:
        """The graph of the scores and the circuit.

        Raises:
            UserError: there is neither.
        """
        known = self.scores or self.mask
        if known is None:
            raise UserError("a circuit file needs scores or a mask; give at least one of them")
        return known.graph


def read_mib(path: Path, graph: ComputationalGraph) -> MibCircuit:
    """The scores or the circuit of this graph in a `.json` or `.pt` file.

    Raises:
        UserError: the file is missing, damaged, of another model, of nodes or of neurons, or
            more than tensors and plain values.
    """
    try:
        content = _loaded(path)
        _check_sizes(content["cfg"], graph)
        return _judged((from_json if path.suffix == ".json" else from_pt)(content, graph), graph)
    except UserError as error:
        raise UserError(
            f"{path} cannot be read: {error}; give a .json or .pt file of edges, as EAP-IG writes "
            f"it, of a model with {graph.n_layers} layers of {graph.n_heads} heads"
        ) from error


def write_mib(path: Path, circuit: MibCircuit, d_model: int) -> None:
    """Write an importance file or a binary one, in the form of the path's ending, atomically.

    Args:
        path: ends with .json or .pt.
        circuit: scores, a circuit of whole edges, or both.
        d_model: width of the model, without which MIB does not read the file.

    Raises:
        UserError: the ending is another, or an edge is kept in part.
    """
    if path.suffix not in NEEDED:
        raise UserError(f"{path} does not end with .json or .pt, which says the form of the file")
    graph = circuit.graph
    keep = (circuit.mask or EdgeMask.empty(graph)).keep.detach().cpu()
    if not bool(((keep == 0) | (keep == 1)).all()):
        raise UserError("a circuit file says which edges are in; this mask keeps some in part")
    known = circuit.scores.value.detach().cpu() if circuit.scores else None
    scores = torch.zeros(graph.exists.shape) if known is None else known
    cfg = {**_sizes(graph), "d_model": d_model}
    with replacing(path) as temporary:
        if path.suffix == ".json":
            temporary.write_text(json.dumps({"cfg": cfg, **to_json(graph, scores, keep > 0)}))
        else:
            torch.save({"cfg": cfg, **to_pt(graph, scores, keep > 0)}, temporary)


def _loaded(path: Path) -> Mapping[str, Any]:
    """The content of a file, with all that its form needs."""
    if path.suffix not in NEEDED:
        raise UserError("it ends with neither .json nor .pt")
    try:
        if path.suffix == ".json":
            # As a float: an integer that no tensor could hold becomes infinite, and is refused.
            content = json.loads(path.read_text(encoding="utf-8"), parse_int=float)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged pickle it may be any
        reason = next(iter(str(error).splitlines()), "")[:200]
        raise UserError(
            f"it is missing, damaged, or more than tensors and plain values "
            f"({type(error).__name__}: {reason})"
        ) from error
    missing = [k for k in NEEDED[path.suffix] if not isinstance(content, dict) or k not in content]
    if missing:
        raise UserError(f"it has no {missing[0]!r}, of {', '.join(NEEDED[path.suffix])}")
    return content


def _sizes(graph: ComputationalGraph) -> dict[str, int | bool]:
    """The part of EAP-IG's configuration that the graph depends on."""
    return {
        "n_layers": graph.n_layers,
        "n_heads": graph.n_heads,
        "parallel_attn_mlp": graph.parallel,
    }


def _check_sizes(cfg: object, graph: ComputationalGraph) -> None:
    for key, wanted in _sizes(graph).items():
        given = cfg.get(key) if isinstance(cfg, dict) else None
        if not isinstance(given, int | float) or given != wanted:
            raise UserError(f"its cfg has {key}={given}, and the model has {wanted}")


def _judged(content: FileContent, graph: ComputationalGraph) -> MibCircuit:
    """Which kind of file it is, by what it holds."""
    keep, scores = content.keep, content.scores
    if not bool(((keep == 0) | (keep == 1)).all()):
        raise UserError("an edge's in_graph is neither true nor false")
    mask = EdgeMask(graph, keep)
    if scores is not None:
        # Off the graph EAP-IG leaves anything, minus infinity among others.
        scores = scores.masked_fill(~graph.exists, 0)
    ranks = scores is not None and bool((scores != 0).any())
    if content.names_nodes and mask.size == 0 and not ranks:
        raise UserError("it is a circuit of nodes, not of edges")
    # A circuit without scores has zeros for them, the empty one too.
    if scores is None or not ranks:
        return MibCircuit(mask=mask)
    return MibCircuit(EdgeScores(graph, scores, signed=True), mask if mask.size > 0 else None)

"""The file of an edge mask or edge scores: one safetensors matrix with its names beside it.

The header holds the graph and the JSON lists of source and destination names, so that the file
can be read without this package.
"""

import json
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.tensors import read_tensors, write_tensors

FORMAT = "ablation-bench matrix 1"


def save_matrix(
    path: Path,
    name: str,
    matrix: Float[Tensor, "*masks src dst"],
    graph: ComputationalGraph,
    facts: dict[str, str] | None = None,
    neurons: Float[Tensor, "*masks src d_model"] | None = None,
) -> None:
    """Write `matrix` under `name` with the graph's names and further `facts`, atomically.

    The neurons of circuits, if any, lie beside it.
    """
    header = {
        "format": FORMAT,
        "n_layers": str(graph.n_layers),
        "n_heads": str(graph.n_heads),
        "parallel": str(graph.parallel),
        "sources": json.dumps(graph.sources),
        "destinations": json.dumps(graph.destinations),
        **(facts or {}),
    }
    tensors = {name: matrix} if neurons is None else {name: matrix, "neurons": neurons}
    write_tensors(path, tensors, header)


def load_matrix(path: Path, name: str) -> tuple[ComputationalGraph, Tensor, dict[str, str]]:
    """The graph, the matrix and all header facts of a file that `save_matrix` wrote.

    Raises:
        UserError: the file is missing, damaged, or of another kind.
    """
    tensors, header = read_tensors(path, sealed=False)
    if header.get("format") != FORMAT or name not in tensors:
        raise UserError(f"{path} does not hold {FORMAT!r} with a tensor {name!r}")
    graph = ComputationalGraph(
        int(header["n_layers"]), int(header["n_heads"]), header["parallel"] == "True"
    )
    return graph, tensors[name], header


def matrix_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file.

    Raises:
        UserError: the file is missing or damaged.
    """
    return list(read_tensors(path, sealed=False)[0])

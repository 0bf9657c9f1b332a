"""The file of an edge mask or edge scores: one safetensors matrix with its names beside it.

The header holds the graph and the JSON lists of source and destination names, so that the file
can be read without this package.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmark.errors import UserError
from benchmark.files import replacing
from benchmark.graph.graph import ComputationalGraph

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
    with replacing(path) as temporary:
        content = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        save_file(content, temporary, metadata=header)


def load_matrix(path: Path, name: str) -> tuple[ComputationalGraph, Tensor, dict[str, str]]:
    """The graph, the matrix and all header facts of a file that `save_matrix` wrote.

    Raises:
        UserError: the file is missing, damaged, or of another kind.
    """
    with _opened(path) as file:
        header = file.metadata() or {}
        if header.get("format") != FORMAT or name not in file.keys():  # noqa: SIM118
            raise UserError(f"{path} does not hold {FORMAT!r} with a tensor {name!r}")
        matrix = file.get_tensor(name).clone()
    graph = ComputationalGraph(
        int(header["n_layers"]), int(header["n_heads"]), header["parallel"] == "True"
    )
    return graph, matrix, header


def matrix_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file.

    Raises:
        UserError: the file is missing or damaged.
    """
    with _opened(path) as file:
        return list(file.keys())


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error

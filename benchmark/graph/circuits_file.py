"""The files of circuits and of edge scores: safetensors with the graph's names beside them.

The header holds the graph, the JSON lists of source and destination names, and what each circuit
or ranking is called, so that a file can be read without this package. Circuits of whole edges are
bits, `np.unpackbits(keep_bits, axis=1)[:, : src * dst].reshape(-1, src, dst)`, a 32nd of numbers.
Nothing here needs torch.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.tensors import read_arrays, write_arrays

CIRCUITS_FORMAT, SCORES_FORMAT = "ablation-bench circuits 1", "ablation-bench scores 1"
# The circuits, as numbers where an edge may be kept in part, and as bits where none is.
KEEP, BITS = "keep", "keep_bits"


@dataclass(frozen=True)
class GraphOutline:
    """What a file says of its graph: its sizes, and the names of sources and destinations."""

    n_layers: int
    n_heads: int
    parallel: bool
    sources: tuple[str, ...]
    destinations: tuple[str, ...]

    @property
    def exists(self) -> Bool[np.ndarray, "src dst"]:
        """Which edges exist: every destination reads the sources before it."""
        reads = []
        for layer in range(self.n_layers):
            before = 1 + layer * (self.n_heads + 1)
            own = 0 if self.parallel else self.n_heads
            reads += [*[before] * (3 * self.n_heads), before + own]
        return np.arange(len(self.sources))[:, None] < np.array([*reads, len(self.sources)])


@dataclass(frozen=True, eq=False)
class StoredCircuits:
    """The circuits of one graph.

    Attributes:
        graph: their graph.
        keep: how much of each edge each circuit keeps.
        settings: what a method was set to for each; empty where nothing is known.
        requested: the edges that were asked for, or None where the method chose the size.
        neurons: how much of each coordinate that a source writes is kept; None keeps them whole.
    """

    graph: GraphOutline
    keep: Float[np.ndarray, "circuits src dst"]
    settings: tuple[str, ...]
    requested: tuple[int | None, ...]
    neurons: Float[np.ndarray, "circuits src d_model"] | None = None

    def write(self, path: Path) -> None:
        """Write the file, atomically."""
        tensors = _packed(self.keep)
        if self.neurons is not None:
            tensors["neurons"] = self.neurons
        names = {"settings": self.settings, "requested": self.requested}
        _write(path, CIRCUITS_FORMAT, self.graph, tensors, names)

    @classmethod
    def read(cls, path: Path) -> "StoredCircuits":
        """The circuits of a file.

        Raises:
            UserError: the file is missing, damaged, or of another kind.
        """
        graph, tensors, names = _read(path, CIRCUITS_FORMAT, KEEP, ("settings", "requested"))
        settings, requested = tuple(names["settings"]), tuple(names["requested"])
        return cls(graph, tensors[KEEP], settings, requested, tensors.get("neurons"))


@dataclass(frozen=True, eq=False)
class StoredScores:
    """Rankings of the edges of one graph.

    Attributes:
        graph: their graph.
        value: the score of each edge in each ranking.
        names: what tells the rankings apart; empty for the only one.
        signed: of each ranking, whether it goes by the score or by its absolute value.
    """

    graph: GraphOutline
    value: Float[np.ndarray, "rankings src dst"]
    names: tuple[str, ...]
    signed: tuple[bool, ...]

    def write(self, path: Path) -> None:
        """Write the file, atomically."""
        names = {"names": self.names, "signed": self.signed}
        _write(path, SCORES_FORMAT, self.graph, {"value": self.value}, names)

    @classmethod
    def read(cls, path: Path) -> "StoredScores":
        """The rankings of a file.

        Raises:
            UserError: the file is missing, damaged, or of another kind.
        """
        graph, tensors, names = _read(path, SCORES_FORMAT, "value", ("names", "signed"))
        return cls(graph, tensors["value"], tuple(names["names"]), tuple(names["signed"]))


def read_unpacked(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays of a file and the facts beside them, circuits as numbers however they are kept.

    Raises:
        UserError: the file is missing or damaged.
    """
    tensors, header = read_arrays(path)
    if BITS in tensors:
        try:
            shape = [len(json.loads(header[name])) for name in ("sources", "destinations")]
            bits = np.unpackbits(tensors.pop(BITS), axis=1)[:, : shape[0] * shape[1]]
            tensors[KEEP] = bits.reshape(len(bits), *shape).astype(np.float32)
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    return tensors, header


def _packed(keep: Float[np.ndarray, "circuits src dst"]) -> dict[str, NDArray[Any]]:
    """Circuits under the name that says how they are kept."""
    if not ((keep == 0) | (keep == 1)).all():
        return {KEEP: keep}
    return {BITS: np.packbits(keep.reshape(len(keep), -1) > 0, axis=1)}


def format_of(path: Path) -> str | None:
    """What a safetensors file says that it holds.

    Raises:
        UserError: the file is missing or damaged.
    """
    return read_arrays(path)[1].get("format")


def _write(
    path: Path,
    form: str,
    graph: GraphOutline,
    tensors: dict[str, NDArray[Any]],
    names: dict[str, tuple[Any, ...]],
) -> None:
    header = {
        "format": form,
        "n_layers": str(graph.n_layers),
        "n_heads": str(graph.n_heads),
        "parallel": str(graph.parallel),
        "sources": json.dumps(graph.sources),
        "destinations": json.dumps(graph.destinations),
        **{name: json.dumps(value) for name, value in names.items()},
    }
    write_arrays(path, tensors, header)


def _read(
    path: Path, form: str, tensor: str, names: tuple[str, ...]
) -> tuple[GraphOutline, dict[str, NDArray[Any]], dict[str, list[Any]]]:
    tensors, header = read_unpacked(path)
    if header.get("format") != form:
        raise UserError(f"{path} does not hold {form!r}")
    try:
        graph = GraphOutline(
            int(header["n_layers"]),
            int(header["n_heads"]),
            header["parallel"] == "True",
            tuple(json.loads(header["sources"])),
            tuple(json.loads(header["destinations"])),
        )
        found = {name: json.loads(header[name]) for name in names}
        matrix = len(graph.sources), len(graph.destinations)
        shapes = tensors[tensor].shape[1:] == matrix
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    sizes = {len(tensors[tensor]), *map(len, found.values())}
    if not shapes or len(sizes) > 1 or sizes == {0}:
        raise UserError(f"{path} is damaged: its names are not those of its {tensor!r}")
    return graph, tensors, found

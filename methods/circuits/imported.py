"""Circuits from files: those of the MIB circuit track, of EAP-IG, or saved by this package.

An importance file gives the circuits of the sizes asked for; binary files are shown as they are.
So what was found elsewhere is measured by the same passes, prompts and constants as every method
here. MIB takes the best edges by score for CPR, and by absolute score for CMD (Mueller et al.
2025, arXiv 2504.13151).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmark.digests import digest, digest_of_file
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, EdgeScores
from benchmark.graph.matrix_file import matrix_names
from benchmark.method.circuits import FoundCircuit
from benchmark.method.problem import Problem
from benchmark.mib.files import MibCircuit, read_mib
from methods.circuits.scoring.selection import Selection, circuits_of_sizes

OWN, FORMS = ".safetensors", (".json", ".pt", ".safetensors")
WHAT_TO_TYPE = (
    "type method.path=FILE for a .json, .pt or .safetensors file, or method.path=FOLDER for a "
    "folder of binary ones"
)


@dataclass(frozen=True)
class Imported:
    """Settings of circuits from files; see conf/method/imported.yaml."""

    path: str | None
    absolute: bool
    selection: Selection
    version: ClassVar[int] = 1
    cost: ClassVar[str] = "none"

    def unsupported(self, problem: Problem) -> str | None:
        """Without a file there is nothing to show."""
        return f"no file is named; {WHAT_TO_TYPE}" if self.path is None else None

    def data_digest(self) -> str | None:
        """A digest of the names and contents of all files, or None where none is named.

        Raises:
            UserError: a file cannot be read.
        """
        if self.path is None:
            return None
        try:
            return digest([[file.name, digest_of_file(file)] for file in self._files()])
        except OSError as error:
            raise UserError(f"method.path={self.path} cannot be read: {error}") from error

    def discover(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """The circuits of an importance file of these sizes, or all binary ones.

        Raises:
            UserError: a file cannot be read, is of another model, or scores edges beside others.
        """
        files = self._files()
        found = [_read(file, problem.graph) for file in files]
        if len(found) == 1 and found[0].scores is not None:
            return circuits_of_sizes(found[0].scores, sizes, self.selection, self.absolute)
        circuits = []
        for file, content in zip(files, found, strict=True):
            if content.mask is None:
                raise UserError(
                    f"{file} scores edges and is one of {len(files)} files of its folder; a "
                    "folder of several holds binary circuits alone; type method.path=FILE"
                )
            circuits.append(FoundCircuit(content.mask, f"file={file.name}"))
        return circuits

    def _files(self) -> list[Path]:
        place = Path(self.path or "")
        listed = sorted(place.iterdir()) if place.is_dir() else [place]
        files = [file for file in listed if file.suffix in FORMS and file.is_file()]
        if not files:
            raise UserError(f"method.path={self.path} has no circuit; {WHAT_TO_TYPE}")
        return files


def _read(path: Path, graph: ComputationalGraph) -> MibCircuit:
    if path.suffix != OWN:
        return read_mib(path, graph)
    found = (
        MibCircuit(scores=EdgeScores.load(path))
        if "value" in matrix_names(path)
        else MibCircuit(mask=EdgeMask.load(path))
    )
    if found.graph != graph:
        raise UserError(
            f"{path} is of a model with {found.graph.n_layers} layers of {found.graph.n_heads} "
            f"heads; this one has {graph.n_layers} layers of {graph.n_heads} heads; give its own"
        )
    return found

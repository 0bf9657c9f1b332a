"""Circuits from files: those of the MIB circuit track, of EAP-IG, or of a record of this package.

Circuits are measured as they are; scores of edges give the circuits of the sizes asked for. A file
that has both is its circuit, unless `take` asks for its scores. So what was found elsewhere is
measured by the same passes, prompts and constants as every method here. MIB takes the best edges by
score for CPR, and by absolute score for CMD (Mueller et al. 2025, arXiv 2504.13151).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import ClassVar

from benchmark.digests import digest, digest_of_file
from benchmark.errors import UserError
from benchmark.graph.circuits_file import SCORES_FORMAT, format_of
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import FoundCircuits, load_circuits, load_scores
from benchmark.method.problem import Problem
from benchmark.mib.files import read_mib
from benchmark.records.record import CIRCUITS_FILE, RECORD, SCORES
from methods.circuits.scoring.selection import Selection, circuits_of_sizes

OWN, FORMS = ".safetensors", (".json", ".pt", ".safetensors")
WHAT_TO_TYPE = (
    "type method.path=FILE for a .json, .pt or .safetensors file, or method.path=FOLDER for a "
    "record's folder, or one of circuit files"
)


class Take(Enum):
    """What is taken of a file, or a record, that has circuits and scores."""

    circuits = "circuits"
    scores = "scores"


@dataclass(frozen=True)
class Content:
    """What a file has: circuits, rankings of edges by name, or both."""

    circuits: Sequence[FoundCircuit] = ()
    scores: Mapping[str, EdgeScores] = field(default_factory=dict)


@dataclass(frozen=True)
class Imported:
    """Settings of circuits from files; see conf/method/imported.yaml."""

    path: str | None
    take: Take
    absolute: bool | None
    selection: Selection
    uses: ClassVar[frozenset[str]] = frozenset({"sizes"})
    version: ClassVar[int] = 2

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

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """All circuits of the files, or those of these sizes by the scores of one file.

        Raises:
            UserError: a file cannot be read, is of another graph, or has not what is to be taken.
        """
        files = self._files()
        found = [_read(file, problem.graph) for file in files]
        if len(files) == 1 and (self.take is Take.scores or not found[0].circuits):
            return self._ranked(files[0], found[0].scores, sizes)
        circuits: list[FoundCircuit] = []
        for file, content in zip(files, found, strict=True):
            if not content.circuits or self.take is Take.scores:
                raise UserError(
                    f"{file} is one of {len(files)} files of its folder, which are taken for their "
                    "circuits alone; to rank edges by the scores of one type method.path=FILE"
                )
            circuits += [_named(one, file, alone=len(files) == 1) for one in content.circuits]
        both = [f.name for f, content in zip(files, found, strict=True) if content.scores]
        told = f"{', '.join(both)}: circuits are measured; method.take=scores ranks edges by scores"
        return FoundCircuits(circuits, warnings=[told] if both else [])

    def _ranked(
        self, file: Path, scores: Mapping[str, EdgeScores], sizes: Sequence[int]
    ) -> FoundCircuits:
        """The circuits of these sizes by every ranking."""
        if not scores:
            raise UserError(f"{file} has circuits and no scores; type method.take=circuits")
        circuits: list[FoundCircuit] = []
        used: dict[str, EdgeScores] = {}
        for name, one in scores.items():
            signed = one.signed if self.absolute is None else not self.absolute
            ranked = replace(one, signed=signed)
            found = circuits_of_sizes(ranked, sizes, self.selection, absolute=False)
            used[name] = found.scores[""]
            circuits += [replace(c, setting=f"{name} {c.setting}".strip()) for c in found]
        return FoundCircuits(circuits, used)

    def _files(self) -> list[Path]:
        place = Path(self.path or "")
        if (place / RECORD).is_file():
            listed = [place / (SCORES if self.take is Take.scores else CIRCUITS_FILE)]
        else:
            listed = sorted(place.iterdir()) if place.is_dir() else [place]
        files = [file for file in listed if file.suffix in FORMS and file.is_file()]
        if not files:
            what = "scores" if self.take is Take.scores else "circuit"
            raise UserError(f"method.path={self.path} has no {what}; {WHAT_TO_TYPE}")
        return files


def _named(circuit: FoundCircuit, file: Path, alone: bool) -> FoundCircuit:
    """The circuit with a name: its setting, and its file where several are or nothing is known."""
    if alone and circuit.setting:
        return circuit
    return replace(circuit, setting=f"file={file.name} {circuit.setting}".strip())


def _read(path: Path, graph: ComputationalGraph) -> Content:
    if path.suffix != OWN:
        found = read_mib(path, graph)
        circuits = [] if found.mask is None else [FoundCircuit(found.mask, "")]
        return Content(circuits, {} if found.scores is None else {"": found.scores.absolute()})
    if format_of(path) == SCORES_FORMAT:
        content = Content(scores=load_scores(path))
        given = next(iter(content.scores.values())).graph
    else:
        content = Content(load_circuits(path))
        given = content.circuits[0].mask.graph
    if given != graph:
        raise UserError(
            f"{path} is of a model with {given.n_layers} layers of {given.n_heads} heads; this one "
            f"has {graph.n_layers} layers of {graph.n_heads} heads; give its own"
        )
    return content

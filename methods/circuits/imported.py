"""Circuits from files: those of the MIB circuit track, of EAP-IG, or of a record of this package.

Circuits are measured as they are; scores of edges give the circuits of the sizes asked for. A file
that has both is its circuit, unless `take` asks for its scores. So what was found elsewhere is
measured by the same passes, prompts and constants as every method here. MIB takes the best edges by
score for CPR, and by absolute score for CMD (Mueller et al. 2025, arXiv 2504.13151).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from benchmark.records.record import RECORD, Record
from methods.circuits.scoring.files import (
    WHAT_TO_TYPE,
    Take,
    content_of,
    digest_of,
    files_of,
    with_sign,
)
from methods.circuits.scoring.selection import Selection, circuits_of_sizes


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
        return None if self.path is None else digest_of(self._files())

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """All circuits of the files, or those of these sizes by the scores of one file.

        Raises:
            UserError: a file cannot be read, is of another graph, or has not what is to be taken.
        """
        files = self._files()
        found = [content_of(file, problem.graph) for file in files]
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
        return FoundCircuits(circuits, warnings=[*self._origin(), *([told] if both else [])])

    def _ranked(
        self, file: Path, scores: Mapping[str, EdgeScores], sizes: Sequence[int]
    ) -> FoundCircuits:
        """The circuits of these sizes by every ranking."""
        if not scores:
            raise UserError(f"{file} has circuits and no scores; type method.take=circuits")
        circuits: list[FoundCircuit] = []
        used: dict[str, EdgeScores] = {}
        for name, one in scores.items():
            ranked = with_sign(one, self.absolute)
            found = circuits_of_sizes(ranked, sizes, self.selection, absolute=False)
            used[name] = found.scores[""]
            circuits += [replace(c, setting=f"{name} {c.setting}".strip()) for c in found]
        return FoundCircuits(circuits, used, self._origin())

    def _origin(self) -> list[str]:
        """Of a record's folder, what was run for the record that they are of."""
        place = Path(self.path or "")
        if not (place / RECORD).is_file():
            return []
        record = Record.read(place / RECORD)
        names, seed = record.names, record.config["seed"]
        return [
            f"from record {record.key}: {names['method']} on {names['task']} by {names['model']} "
            f"under {names['ablation']} with seed={seed}"
        ]

    def _files(self) -> list[Path]:
        return files_of(self.path or "", self.take)


def _named(circuit: FoundCircuit, file: Path, alone: bool) -> FoundCircuit:
    """The circuit with a name: its setting, and its file where several are or nothing is known."""
    if alone and circuit.setting:
        return circuit
    return replace(circuit, setting=f"file={file.name} {circuit.setting}".strip())

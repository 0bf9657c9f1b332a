"""Circuits and scores that lie in files: those of a record, of the MIB circuit track, of EAP-IG."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from benchmark.digests import digest, digest_of_file
from benchmark.errors import UserError
from benchmark.graph.circuits_file import SCORES_FORMAT, format_of
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import load_circuits, load_scores
from benchmark.mib.files import read_mib
from benchmark.records.record import CIRCUITS_FILE, RECORD, SCORES

OWN, FORMS = ".safetensors", (".json", ".pt", ".safetensors")
WHAT_TO_TYPE = (
    "type method.path=FILE for a .json, .pt or .safetensors file, or method.path=FOLDER for a "
    "record's folder, or one of circuit files"
)
PATHS_TO_TYPE = (
    "type method.paths=[results/KEY,results/KEY] for the folders of records of methods that rank "
    "edges, or for files of scores"
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


def files_of(path: str, take: Take, advice: str = WHAT_TO_TYPE) -> list[Path]:
    """The file of that path, the one of a record's folder, or all of a folder of circuit files.

    Raises:
        UserError: there is none.
    """
    place = Path(path)
    if (place / RECORD).is_file():
        listed = [place / (SCORES if take is Take.scores else CIRCUITS_FILE)]
    else:
        listed = sorted(place.iterdir()) if place.is_dir() else [place]
    files = [file for file in listed if file.suffix in FORMS and file.is_file()]
    if not files:
        what = "scores" if take is Take.scores else "circuit"
        raise UserError(f"{path} has no {what}; {advice}")
    return files


def digest_of(files: Iterable[Path]) -> str:
    """A digest of the names and contents of files.

    Raises:
        UserError: one cannot be read.
    """
    try:
        return digest([[file.name, digest_of_file(file)] for file in files])
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror or error}") from error


def content_of(path: Path, graph: ComputationalGraph) -> Content:
    """What a file has.

    Raises:
        UserError: it cannot be read, or is of another graph.
    """
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


def with_sign(scores: EdgeScores, absolute: bool | None) -> EdgeScores:
    """Scores that rank by their absolute values, or not; None leaves them as they are."""
    return scores if absolute is None else replace(scores, signed=not absolute)


def rankings_of(files: Iterable[Path], graph: ComputationalGraph) -> list[EdgeScores]:
    """Every ranking of edges in files.

    Raises:
        UserError: one cannot be read, is of another graph, or has circuits alone.
    """
    found: list[EdgeScores] = []
    for file in files:
        scores = content_of(file, graph).scores
        if not scores:
            raise UserError(f"{file} has circuits and no scores; {PATHS_TO_TYPE}")
        found += scores.values()
    return found

"""The files of one cell of a submission: nine circuits of a record, or the scores that it left."""

from enum import Enum
from pathlib import Path

from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask
from benchmark.graph.scores import EdgeScores
from benchmark.method.found import load_circuits, load_scores
from benchmark.mib.board import BOARD_SHARES, LARGEST_FILE_MB
from benchmark.mib.files import MibCircuit, write_mib
from benchmark.records.record import CIRCUITS_FILE, SCORES, Record

FILE, IMPORTANCES = "edges_{}_percent.{}", "importances.{}"


class Form(Enum):
    """What a cell's files hold: nine circuits, or the scores that rank all edges."""

    circuits = "circuits"
    importances = "importances"


class Format(Enum):
    """Format of the files: names and truth values as text, or matrices."""

    json = "json"
    pt = "pt"


def is_cell(folder: Path) -> bool:
    """Whether a folder holds files of a cell and nothing else."""
    return folder.is_dir() and all(
        file.match(FILE.format("*", "*")) or file.match(IMPORTANCES.format("*"))
        for file in folder.iterdir()
    )


def write_cell(
    record: Record, results_dir: Path, folder: Path, form: Form, form_of_files: Format
) -> list[int]:
    """Write the circuits, or the scores, of a record; return the numbers of edges.

    Raises:
        UserError: the record lacks what is to be written, or a file is too large for the board.
    """
    found = load_circuits(results_dir / record.key / CIRCUITS_FILE)
    if found[0].neurons is not None:
        raise UserError(
            f"record {record.key} has circuits of neurons, and the files hold whole edges; "
            "choose a record of method.granularity=edge or component by method_name='NAME'"
        )
    if "d_model" not in record.model:
        raise UserError(
            f"record {record.key} does not say how wide its model is, as records of earlier "
            "versions do not; run it again with overwrite=true"
        )
    width, ending = record.model["d_model"], form_of_files.value
    if form is Form.importances:
        scores = _scores(record, results_dir)
        _checked(folder / IMPORTANCES.format(ending), MibCircuit(scores), width)
        return [int(share * scores.graph.n_edges) for share in BOARD_SHARES]
    circuits = _within_shares([one.mask for one in found])
    for share, mask in circuits.items():
        name = FILE.format(f"{100 * share:g}", ending)
        _checked(folder / name, MibCircuit(mask=mask), width)
    return [mask.size for mask in circuits.values()]


def _scores(record: Record, results_dir: Path) -> EdgeScores:
    """The one ranking of edges that a record's method left."""
    scores = load_scores(results_dir / record.key / SCORES) if SCORES in record.files else {}
    if len(scores) != 1:
        raise UserError(
            f"record {record.key} has {len(scores)} rankings of edges, not one; choose another "
            "method by method_name='NAME', or type form=circuits"
        )
    return next(iter(scores.values()))


def _checked(path: Path, circuit: MibCircuit, d_model: int) -> None:
    """Write a file that the board's own check can read."""
    write_mib(path, circuit, d_model)
    if path.stat().st_size > LARGEST_FILE_MB * 1e6:
        raise UserError(
            f"a file of {path.parent.name} takes {path.stat().st_size / 1e6:.0f} MB as "
            f"{path.suffix[1:]}; MIB's board reads files up to {LARGEST_FILE_MB} MB; "
            "type format=pt"
        )


def _within_shares(found: list[EdgeMask]) -> dict[float, EdgeMask]:
    """For each share of the edges the largest circuit within it, or the empty one."""
    graph = found[0].graph
    masks = [EdgeMask.empty(graph), *found]
    limits = {share: int(share * graph.n_edges) for share in BOARD_SHARES}
    return {
        share: max((m for m in masks if m.size <= limit), key=lambda mask: mask.size)
        for share, limit in limits.items()
    }

"""A submission to the leaderboard of the MIB circuit track, from records.

Of each record it has nine binary circuits: for each share of the edges the largest circuit within
it; or, with `importances`, the one file of the scores that its method left, from which MIB takes
the circuits itself (Mueller et al. 2025, 2504.13151).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table

from benchmark.errors import UserError, near
from benchmark.files import replacing_folder
from benchmark.graph.mask import EdgeMask
from benchmark.graph.scores import EdgeScores
from benchmark.method.found import load_circuits, load_scores
from benchmark.mib.board import BOARD_SHARES, LARGEST_FILE_MB, board_cell, board_cells, lacking
from benchmark.mib.files import MibCircuit, write_mib
from benchmark.records.record import CIRCUITS_FILE, SCORES, Record
from benchmark.report.frame import Results, load
from benchmark.report.left_out import Shown

FILE, IMPORTANCES = "edges_{}_percent.{}", "importances.{}"


class Format(Enum):
    """Form of the circuit files: names and truth values as text, or matrices."""

    json = "json"
    pt = "pt"


@dataclass(frozen=True)
class Submission:
    """Settings of `ablation-bench submit`; see conf/submit.yaml."""

    results_dir: str
    experiment_name: str | None
    method_name: str | None
    ablation_name: str | None
    task_names: list[str] | None
    seed: int
    format: Format
    importances: bool
    other_cells: bool
    overwrite: bool
    directory: str

    def run(self) -> RenderableType:
        """Write the folder; return what is in it and what the board would still want.

        Raises:
            UserError: no record fits, two fit one cell, or the folder is there or cannot be
                written.
        """
        results = load(Path(self.results_dir), self.experiment_name)
        cells, other_cells = self._cells(results)
        try:
            self._check_place()
            with replacing_folder(Path(self.directory)) as folder:
                sizes = {name: self._write(folder / name, cells[name]) for name in cells}
        except OSError as error:
            raise UserError(f"directory={self.directory} cannot be written: {error}") from error
        table = Table(
            "folder", *(f"{share:.1%}" for share in BOARD_SHARES), title="Edges of circuits"
        )
        for name, row in sizes.items():
            table.add_row(name, *map(str, row))
        without = [n for n, row in sizes.items() if 0 in row and not self.importances]
        notes = _notes(cells, other_cells, without)
        written = f"written: {self.directory}"
        return Shown(table, *notes, written, left_out=results.left_out)

    def _check_place(self) -> None:
        place = Path(self.directory)
        if place.is_dir() and not any(place.iterdir()):
            return
        if place.exists() and not (self.overwrite and _is_submission(place)):
            raise UserError(
                f"directory={place} is there and not empty; give another, or overwrite=true if "
                "it holds nothing but an earlier submission"
            )

    def _cells(self, results: Results) -> tuple[dict[str, Record], list[str]]:
        """The record of each folder, and the folders that are left out."""
        found: dict[str, Record] = {}
        left_out = []
        for record in self._chosen(results):
            on_board = board_cell(record)
            parts = on_board or (record.names["task"], record.names["model"])
            name = re.sub(r"[^\w.=-]+", "-", "_".join(parts))
            if on_board is None and not self.other_cells:
                left_out.append(name)
                continue
            if name in found:
                one, two = (
                    f"{key} ({', '.join(results.labels[key].values())})"
                    for key in (found[name].key, record.key)
                )
                raise UserError(
                    f"records {one} and {two} are both of {name}; choose one by "
                    "task_names=[NAME], method_name='NAME' or experiment_name=NAME"
                )
            found[name] = record
        if not found:
            raise UserError(
                f"MIB's board has none of the cells {', '.join(left_out)}, but only "
                f"{', '.join(board_cells())}; type other_cells=true to write them all the same"
            )
        return found, left_out

    def _chosen(self, results: Results) -> list[Record]:
        """The finished records that the settings name."""
        labels = results.labels

        def names(axis: str) -> Callable[[Record], set[str]]:
            return lambda record: {record.names[axis], labels[record.key][axis]}

        chosen = _only(results.done, "seed", [str(self.seed)], lambda r: {str(r.config["seed"])})
        if self.task_names is not None:
            chosen = _only(chosen, "task_names", self.task_names, names("task"))
        for axis, asked in (("method", self.method_name), ("ablation", self.ablation_name)):
            setting, options = f"{axis}_name", sorted({record.names[axis] for record in chosen})
            if asked is None and len(options) > 1:
                raise UserError(
                    f"{setting} is not given; type one of {setting}={'|'.join(options)}"
                )
            chosen = _only(chosen, setting, options if asked is None else [asked], names(axis))
        return chosen

    def _write(self, folder: Path, record: Record) -> list[int]:
        """Write the circuits, or the scores, of a record; return the numbers of edges."""
        file = Path(self.results_dir) / record.key / CIRCUITS_FILE
        found = load_circuits(file)
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
        width = record.model["d_model"]
        if self.importances:
            scores = self._scores(record)
            self._checked(folder / IMPORTANCES.format(self.format.value), MibCircuit(scores), width)
            return [int(share * scores.graph.n_edges) for share in BOARD_SHARES]
        circuits = _within_shares([one.mask for one in found])
        for share, mask in circuits.items():
            name = FILE.format(f"{100 * share:g}", self.format.value)
            self._checked(folder / name, MibCircuit(mask=mask), width)
        return [mask.size for mask in circuits.values()]

    def _scores(self, record: Record) -> EdgeScores:
        """The one ranking of edges that a record's method left."""
        file = Path(self.results_dir) / record.key / SCORES
        scores = load_scores(file) if SCORES in record.files else {}
        if len(scores) != 1:
            raise UserError(
                f"record {record.key} has {len(scores)} rankings of edges, not one; choose another "
                "method by method_name='NAME', or type importances=false"
            )
        return next(iter(scores.values()))

    def _checked(self, path: Path, circuit: MibCircuit, d_model: int) -> None:
        """Write a file that the board's own check can read."""
        write_mib(path, circuit, d_model)
        if path.stat().st_size > LARGEST_FILE_MB * 1e6:
            raise UserError(
                f"a file of {path.parent.name} takes {path.stat().st_size / 1e6:.0f} MB as "
                f"{self.format.value}; MIB's board reads files up to {LARGEST_FILE_MB} MB; "
                "type format=pt"
            )


def _notes(cells: dict[str, Record], left_out: list[str], without: list[str]) -> list[str]:
    """What a reader should know of the cells, of those left out, and of those without circuits."""
    on_board = [cell for record in cells.values() if (cell := board_cell(record))]
    others = [name for name, record in cells.items() if board_cell(record) is None]
    lists = {
        "An empty circuit stands where the method found none within the share": without,
        "Left out, as MIB's board does not have them": left_out,
        "Written, but MIB's board will not take them": others,
    }
    notes = [f"{what}: {', '.join(names)}" for what, names in lists.items() if names]
    return [*notes, *filter(None, [lacking(on_board)])]


def _only(
    records: list[Record], setting: str, asked: list[str], names: Callable[[Record], set[str]]
) -> list[Record]:
    """The records of one of the names asked for, of which each must be there."""
    known = {name for record in records for name in names(record)}
    for name in asked:
        if name not in known:
            raise UserError(
                f"{setting}={name} has no finished record{near(name, known)}; there are: "
                f"{', '.join(sorted(known))}"
            )
    return [record for record in records if names(record) & set(asked)]


def _within_shares(found: list[EdgeMask]) -> dict[float, EdgeMask]:
    """For each share of the edges the largest circuit within it, or the empty one."""
    graph = found[0].graph
    masks = [EdgeMask.empty(graph), *found]
    limits = {share: int(share * graph.n_edges) for share in BOARD_SHARES}
    return {
        share: max((m for m in masks if m.size <= limit), key=lambda mask: mask.size)
        for share, limit in limits.items()
    }


def _is_submission(place: Path) -> bool:
    """Whether a folder holds folders of circuit files, of `submit`, and nothing else."""
    return place.is_dir() and all(
        folder.is_dir()
        and all(
            file.match(FILE.format("*", "*")) or file.match(IMPORTANCES.format("*"))
            for file in folder.iterdir()
        )
        for folder in place.iterdir()
    )

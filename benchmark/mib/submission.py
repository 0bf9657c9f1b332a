"""A submission to the leaderboard of the MIB circuit track, from records, and a check of one.

Of each record it has nine binary circuits: for each share of the edges the largest circuit within
it; or, as importances, the one file of the scores that its method left, from which MIB takes the
circuits itself: by the scores for CPR, by their absolute values for CMD (Mueller et al. 2025,
2504.13151). Circuits of a second method for CPR lie in a folder of their own.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table

from benchmark.errors import UserError, near
from benchmark.files import replacing_folder
from benchmark.mib.board import BOARD_SHARES, board_cell, board_cells, lacking
from benchmark.mib.cell_files import Form, Format, is_cell, write_cell
from benchmark.mib.rules import LINK_FORM, check_link, shown_check
from benchmark.records.record import Record
from benchmark.report.frame import Results, load
from benchmark.report.left_out import Shown

# The board computes CMD alone of what lies below the first, and CPR alone below the second.
FOR_CMD, FOR_CPR = "abs_True", "abs_False"


@dataclass(frozen=True)
class Submission:
    """Settings of `ablation-bench submit`; see conf/submit.yaml."""

    results_dir: str
    experiment_name: str | None
    method_name: str | None
    cpr_method_name: str | None
    ablation_name: str | None
    task_names: list[str] | None
    seed: int
    format: Format
    form: Form
    other_cells: bool
    overwrite: bool
    directory: str
    check: str | None
    link: str | None

    def run(self) -> RenderableType:
        """Write the folder, or check one; return what is in it and what the board would want.

        Raises:
            UserError: no record fits, two fit one cell, or the folder is there or cannot be
                written.
        """
        wrong = check_link(self.link) if self.link is not None else None
        if wrong is not None:
            raise UserError(wrong)
        return self._written() if self.check is None else shown_check(Path(self.check))

    def _written(self) -> RenderableType:
        results = load(Path(self.results_dir), self.experiment_name)
        methods = {"": self.method_name}
        if self.cpr_method_name is not None:
            methods = {FOR_CMD: self.method_name, FOR_CPR: self.cpr_method_name}
        cells, others = {}, []
        for place, method in methods.items():
            found, left_out = self._cells(results, method)
            cells |= {str(Path(place, name)): record for name, record in found.items()}
            others += left_out
        try:
            self._check_place()
            with replacing_folder(Path(self.directory)) as folder:
                sizes = {name: self._write(cells[name], folder / name) for name in cells}
        except OSError as error:
            raise UserError(f"directory={self.directory} cannot be written: {error}") from error
        table = Table(
            "folder", *(f"{share:.1%}" for share in BOARD_SHARES), title="Edges of circuits"
        )
        for name, row in sizes.items():
            table.add_row(name, *map(str, row))
        without = [n for n, row in sizes.items() if 0 in row and self.form is Form.circuits]
        notes = _notes(cells, others, without)
        link = LINK_FORM.replace("FOLDER", Path(self.directory).name)
        return Shown(
            table,
            *notes,
            f"written: {self.directory}; put it into a repository of the hub, and give the board "
            f"{link}",
            left_out=results.left_out,
        )

    def _write(self, record: Record, folder: Path) -> list[int]:
        return write_cell(record, Path(self.results_dir), folder, self.form, self.format)

    def _check_place(self) -> None:
        place = Path(self.directory)
        if place.is_dir() and not any(place.iterdir()):
            return
        if place.exists() and not (self.overwrite and _is_submission(place)):
            raise UserError(
                f"directory={place} is there and not empty; give another, or overwrite=true if "
                "it holds nothing but an earlier submission"
            )

    def _cells(self, results: Results, method: str | None) -> tuple[dict[str, Record], list[str]]:
        """The record of a method for each folder, and the folders that are left out."""
        found: dict[str, Record] = {}
        left_out = []
        for record in self._chosen(results, method):
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

    def _chosen(self, results: Results, method: str | None) -> list[Record]:
        """The finished records that the settings name."""
        labels = results.labels

        def names(axis: str) -> Callable[[Record], set[str]]:
            return lambda record: {record.names[axis], labels[record.key][axis]}

        chosen = _only(results.done, "seed", [str(self.seed)], lambda r: {str(r.config["seed"])})
        if self.task_names is not None:
            chosen = _only(chosen, "task_names", self.task_names, names("task"))
        for axis, asked in (("method", method), ("ablation", self.ablation_name)):
            setting, options = f"{axis}_name", sorted({record.names[axis] for record in chosen})
            if asked is None and len(options) > 1:
                raise UserError(
                    f"{setting} is not given; type one of {setting}={'|'.join(options)}"
                )
            chosen = _only(chosen, setting, options if asked is None else [asked], names(axis))
        return chosen


def _notes(cells: dict[str, Record], left_out: list[str], without: list[str]) -> list[str]:
    """What a reader should know of the cells, of those left out, and of those without circuits."""
    on_board = [cell for record in cells.values() if (cell := board_cell(record))]
    others = [name for name, record in cells.items() if board_cell(record) is None]
    left_out = list(dict.fromkeys(left_out))
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


def _is_submission(place: Path) -> bool:
    """Whether a folder holds folders of circuit files, of `submit`, and nothing else."""
    entries = list(place.iterdir()) if place.is_dir() else [place]
    return all(
        is_cell(cell)
        for entry in entries
        for cell in (entry.iterdir() if entry.name in (FOR_CMD, FOR_CPR) else [entry])
    )

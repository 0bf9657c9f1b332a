"""What the evaluator of MIB's board takes of a folder, and why a column of the board would miss.

Its rules are those of the public code, github.com/mttk/MIB-circuit-track-autoeval (no README says
them): folders are cells by their names, one file is a ranking, nine are circuits that stand at the
nine shares by rank, and whatever raises an error is a column that is missing without a word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table

from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.mib.board import BOARD, BOARD_SHARES, LARGEST_FILE_MB, lacking
from benchmark.mib.files import MibCircuit, read_mib
from benchmark.report.left_out import Shown

# Layers and heads of the board's models.
GRAPHS = {"gpt2": (12, 12), "qwen2.5": (24, 14), "gemma2": (26, 8), "llama3": (32, 32)}
FORMS = (".pt", ".json")
# Which of two scores is computed of what lies below a folder of this kind of name.
BOTH, BY_SIGN = ("CPR", "CMD"), {"true": ("CMD",), "false": ("CPR",)}
LINK = re.compile(r"https://huggingface\.co/[^/\s]+/[^/\s]+/tree/[^/\s]+/\S+")
LINK_FORM = "https://huggingface.co/USER/REPOSITORY/tree/main/FOLDER"


@dataclass(frozen=True)
class Column:
    """One column of the board, of one score.

    Attributes:
        task: as the board calls it.
        model: as the board calls it.
        score: CPR or CMD.
        folder: where its files are.
        form: importances, or circuits.
        why: why it would be missing or wrong; None if it would not.
    """

    task: str
    model: str
    score: str
    folder: str
    form: str
    why: str | None


@dataclass(frozen=True)
class Checked:
    """What the board would make of a folder.

    Attributes:
        columns: those that its folders are for.
        faults: what else the board stumbles over, each in a sentence.
    """

    columns: list[Column]
    faults: list[str]

    @property
    def missing(self) -> list[str]:
        """A line for each column that would be missing, and for each fault."""
        lines = [f"{c.task}_{c.model} {c.score}: {c.why}" for c in self.columns if c.why]
        return [*lines, *self.faults]


def check_folder(place: Path) -> Checked:
    """Apply the board's rules to a folder of cells.

    Raises:
        UserError: it is no folder.
    """
    if not place.is_dir():
        raise UserError(f"check={place} is no folder; give the one that submit wrote")
    columns: list[Column] = []
    faults = []
    for folder, scores in _cell_folders(place):
        cell, why = _cell_of(folder.name)
        if cell is None:
            faults.append(f"{folder.relative_to(place)} is skipped: {why}")
            continue
        form, fault = _files_of(folder, cell[1])
        columns += [Column(*cell, s, str(folder.relative_to(place)), form, fault) for s in scores]
    seen: set[tuple[str, str, str]] = set()
    for column in columns:
        key = column.task, column.model, column.score
        if key in seen:
            faults.append(f"{column.task}_{column.model} is there twice for {column.score}")
        seen.add(key)
    too_few = lacking({(c.task, c.model) for c in columns if c.why is None})
    return Checked(columns, [*faults, *filter(None, [too_few])])


def shown_check(place: Path) -> RenderableType:
    """What the board would make of a folder; a line for each column that would be missing.

    Raises:
        UserError: it is no folder.
    """
    checked = check_folder(place)
    table = Table("column", "score", "folder", "form", "verdict", title=f"MIB's board on {place}")
    for column in checked.columns:
        name = f"{column.task}_{column.model}"
        table.add_row(name, column.score, column.folder, column.form, column.why or "scores")
    return Shown(table, faults=checked.missing)


def check_link(link: str) -> str | None:
    """Why the board would download nothing of a link, in a sentence; None if it would not."""
    if LINK.fullmatch(link):
        return None
    return f"link={link} names no folder in a revision, so nothing is fetched; give {LINK_FORM}"


def _cell_folders(place: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The folders of cells, with the scores that are computed of each."""
    for folder in sorted(entry for entry in place.iterdir() if entry.is_dir()):
        name = folder.name.lower()
        sign = next((sign for sign in BY_SIGN if "abs" in name and sign in name), None)
        if sign is None:
            yield folder, BOTH
        else:
            inside = sorted(entry for entry in folder.iterdir() if entry.is_dir())
            yield from ((entry, BY_SIGN[sign]) for entry in inside)


def _cell_of(folder: str) -> tuple[tuple[str, str] | None, str]:
    """The board's names of a folder's task and model; or None, and why."""
    name = folder.lower()

    def named(options: list[str]) -> str | None:
        found = [option for option in options if name.startswith(option) or f"_{option}" in name]
        return max(found, key=len, default=None)

    task, model = named(list(BOARD)), named(list(GRAPHS))
    underscored = {option.replace("-", "_"): option for option in BOARD if "-" in option}
    split = named(list(underscored))
    if task is None and split is not None:
        return None, f"the underscore in {split} ends the task's name; write {underscored[split]}"
    if task is None or model is None:
        tasks, models = ", ".join(BOARD), ", ".join(GRAPHS)
        return None, f"its name says no task ({tasks}), or no model ({models}), of the board"
    if model not in BOARD[task]:
        return None, f"the board has no column of {task} for {model}"
    return (task, model), ""


def _files_of(folder: Path, model: str) -> tuple[str, str | None]:
    """Which form a cell's files have, and why they would give no score, or a wrong one."""
    files = sorted(file for file in folder.iterdir() if file.suffix in FORMS)
    form = "importances" if len(files) == 1 else "circuits"
    large = [file for file in files if file.stat().st_size > LARGEST_FILE_MB * 1e6]
    if not files:
        return form, "its folder has no .pt or .json file"
    if large:
        return form, f"{large[0].name} is larger than {LARGEST_FILE_MB} MB"
    if form == "circuits" and len(files) != len(BOARD_SHARES):
        return form, (
            f"it has {len(files)} files; circuits stand at {len(BOARD_SHARES)} shares by rank, so "
            "there must be as many, or a single file of scores"
        )
    graph = ComputationalGraph(*GRAPHS[model])
    try:
        found = [read_mib(file, graph) for file in files]
    except UserError as error:
        return form, str(error)
    return form, _of_scores(found[0]) if form == "importances" else _by_rank(found, graph)


def _of_scores(content: MibCircuit) -> str | None:
    if content.scores is None:
        return "its single file is taken for scores, and has none"
    return None


def _by_rank(found: list[MibCircuit], graph: ComputationalGraph) -> str | None:
    """Why nine files are no circuits within the shares that they are placed at by their size."""
    if any(content.mask is None for content in found):
        return "one of its files has scores and no circuit; scores are given by a single file"
    sizes = sorted(content.mask.size for content in found if content.mask is not None)
    for share, size in zip(BOARD_SHARES, sizes, strict=True):
        if size > int(share * graph.n_edges):
            return (
                f"its circuit of {size:,} edges would stand at {share:.1%} of the edges, which are "
                f"{int(share * graph.n_edges):,}"
            )
    return None

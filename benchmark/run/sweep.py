"""What became of the cells of one command, gathered from all of its processes.

Each job notes its cell in a file of its own when it begins and again when it ends, so a job that
was killed is known too. The folder is removed when the command ends, or, if that was killed, when
the next one begins: a living command holds a lock in its folder.
"""

import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.files import replacing
from benchmark.records.store import cannot_write

VARIABLE = "ABLATION_BENCH_SWEEP"
KILLED, REFUSED, MISSING = "killed", "refused", "missing"
STOP, ALIVE = "stop", "alive.lock"
BAD = ("failed", KILLED, REFUSED)
# What this process noted, by job, whether or not its disk had room for it.
_known_here: dict[int, "Note"] = {}
COLOURS = {"done": "green", "skipped": "yellow", "missing": "cyan"}


@dataclass(frozen=True)
class Note:
    """One cell of a command.

    Attributes:
        task, method, ablation, model: its names, as tables show them.
        seed: as it was typed; one that is no number is refused later.
        changes: what the grid changes for it beside options, as typed.
        key: its record's key; empty if it has none.
        state: done, failed, skipped, missing, refused, or killed.
        detail: the reason, or whether it was there before.
        report_on: the results folder and the experiment to report on when all is done, if any.
    """

    task: str
    method: str
    ablation: str
    model: str
    seed: int | str
    changes: tuple[str, ...]
    key: str = ""
    state: str = MISSING
    detail: str = ""
    report_on: tuple[str, str | None] | None = None

    @classmethod
    def read(cls, text: str) -> "Note":
        """The note that `json` wrote, which has lists for tuples."""
        content = json.loads(text)
        report_on = content["report_on"] and tuple(content["report_on"])
        return cls(**{**content, "changes": tuple(content["changes"]), "report_on": report_on})

    @property
    def json(self) -> str:
        """The note as a line of text."""
        return json.dumps(asdict(self))

    def title(self, unsaid: Collection[str]) -> str:
        """The cell in words: task, method, ablation, model, seed, and all changes but some."""
        words = (self.task, self.method, self.ablation, self.model, f"seed={self.seed}")
        return " ".join([*words, *(change for change in self.changes if change not in unsaid)])


def stop() -> None:
    """Let no further cell of this command begin."""
    folder = os.environ.get(VARIABLE)
    if folder is not None:
        (Path(folder) / STOP).touch()


def stopped() -> bool:
    """Whether a cell of this command has failed that is to end it."""
    folder = os.environ.get(VARIABLE)
    return folder is not None and (Path(folder) / STOP).exists()


def note(job: int, entry: Note) -> None:
    """Note a cell, from the process that runs it.

    Raises:
        OSError: the disk is full, or the folder cannot be written; this process still knows it.
    """
    folder = os.environ.get(VARIABLE)
    if folder is None:
        return
    _known_here[job] = entry
    path = Path(folder) / f"{job}.json"
    try:
        _write(path, entry)
    except OSError:
        # What the note said before is no longer true, and gives its room to the new one.
        path.unlink(missing_ok=True)
        _write(path, entry)


def _write(path: Path, entry: Note) -> None:
    with replacing(path) as temporary:
        temporary.write_text(entry.json)


def noted(folder: Path) -> list[Note]:
    """All cells that are known of, in the order of their jobs."""
    read = {int(path.stem): Note.read(path.read_text()) for path in folder.glob("*.json")}
    return [entry for _, entry in sorted((read | _known_here).items())]


def reports_on(notes: list[Note]) -> list[tuple[str, str | None]]:
    """The folders and experiments to report on, none if a cell went wrong."""
    if any(entry.state in BAD for entry in notes):
        return []
    wanted = (entry.report_on for entry in notes)
    return list(dict.fromkeys((place, name) for place, name in filter(None, wanted)))


@contextmanager
def gathering(parent: Path) -> Iterator[Path]:
    """A folder for the notes of this command and of all processes that it starts.

    Raises:
        UserError: the parent folder cannot be written.
    """
    sweeps = parent.absolute() / ".sweeps"
    folder = sweeps / uuid.uuid4().hex
    alive = FileLock(folder / ALIVE)
    try:
        sweeps.mkdir(parents=True, exist_ok=True)
        # Nobody sweeps between the making of a folder and its lock.
        with FileLock(sweeps / ".lock"):
            _remove_dead(sweeps)
            folder.mkdir()
            alive.acquire()
    except OSError as error:
        raise cannot_write(parent, error) from error
    _known_here.clear()
    os.environ[VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)
        alive.release()


def _remove_dead(sweeps: Path) -> None:
    """Remove the folders of commands that were killed: the locks of those are free."""
    for lock in sweeps.glob(f"*/{ALIVE}"):
        try:
            with FileLock(lock, timeout=0):
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:
            # It is held (`Timeout` is an OSError), or not ours to remove; it does no harm.
            continue


def summary(notes: list[Note]) -> Group:
    """A table of all cells, and how many ended how."""
    table = Table("task method ablation model", "key", "state", "")
    shared = set.intersection(*(set(entry.changes) for entry in notes))
    for entry in notes:
        state = Text(entry.state, style=COLOURS.get(entry.state, "red"))
        table.add_row(entry.title(unsaid=shared), entry.key, state, entry.detail)
    counts = Counter(entry.state for entry in notes)
    return Group(table, ", ".join(f"{n} {state}" for state, n in counts.most_common()))

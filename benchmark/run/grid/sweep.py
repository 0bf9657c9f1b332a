"""What became of the cells of one command, gathered from all of its processes.

Each job notes its cell in a file of its own when it begins and again when it ends, so a job that
was killed is known too. Hydra and its launchers write there as well. The folder is removed when the
command ends, or, if that was killed, when the next one begins: a living command holds a lock in it.
"""

import json
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.files import remove_leftovers, replacing
from benchmark.locks import holding, remove_dead_locks
from benchmark.records.names import PLACES, told_apart
from benchmark.records.store import SHARED, cannot_write

VARIABLE = "ABLATION_BENCH_SWEEP"
KILLED, REFUSED, MISSING = "killed", "refused", "missing"
WAITING, RUNNING = "queued", "running"
SWEEPS, LOCK, STOP, ALIVE = ".sweeps", ".sweeps.lock", "stop", "alive.lock"
# Where submitit keeps what its jobs read and write; jobs of a killed command may still be queued.
QUEUED, LONGEST_QUEUE = ".submitit", 7 * 24 * 3600
BAD = ("failed", KILLED, REFUSED)
# What this process noted, by job, whether or not its disk had room for it.
_known_here: dict[int, "Note"] = {}
COLOURS = {"done": "green", "skipped": "yellow"} | dict.fromkeys(
    [MISSING, WAITING, RUNNING], "cyan"
)


@dataclass(frozen=True)
class Note:
    """One cell of a command.

    Attributes:
        task, method, ablation, model: its names, as tables show them.
        seed: as it was typed; one that is no number is refused later.
        changes: what the grid changes for it that its names do not say, as typed.
        key: its record's key; empty if it has none.
        state: done, failed, skipped, missing, refused, or killed.
        detail: the reason, or whether it was there before.
        report_on: the results folder and the experiment to report on when all is done, if any.
        results_dir: where its record lies or will; only of cells that are listed.
        decided_by: what decides its key beside settings and sources: by name, what is said of the
            model's files; None where more does, and of cells that are not listed.
        places: where its task and its model lie, by which of the two.
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
    results_dir: str = ""
    decided_by: dict[str, str] | None = None
    places: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> "Note":
        """The note that `json` wrote."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Note":
        """The note of its fields as JSON has them, with lists for tuples."""
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
    if (folder := os.environ.get(VARIABLE)) is not None:
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
    if (folder := os.environ.get(VARIABLE)) is None:
        return
    _known_here[job] = entry
    path = Path(folder) / f"{job}.json"
    try:
        write_note(path, entry)
    except OSError:
        # What the note said before is no longer true, and gives its room to the new one.
        path.unlink(missing_ok=True)
        write_note(path, entry)


def write_note(path: Path, entry: Note) -> None:
    """Write a note, atomically; it lives no longer than its command."""
    with replacing(path, lasting=False) as temporary:
        temporary.write_text(entry.json)


def noted(folder: Path) -> list[Note]:
    """All cells that are known of, in the order of their jobs."""
    read = {int(path.stem): Note.read(path.read_text()) for path in folder.glob("*.json")}
    return [entry for _, entry in sorted((read | _known_here).items())]


def logs_of_killed_jobs(folder: Path) -> Path | None:
    """Where a launcher keeps what jobs said that were killed, which nothing else tells."""
    return folder / QUEUED if _has_jobs(folder, KILLED) else None


def reports_on(notes: list[Note]) -> list[tuple[str, str | None]]:
    """The folders and experiments to report on, none if a cell went wrong."""
    if any(entry.state in BAD for entry in notes):
        return []
    wanted = (entry.report_on for entry in notes)
    return list(dict.fromkeys((place, name) for place, name in filter(None, wanted)))


@contextmanager
def gathering(parent: Path) -> Iterator[Path]:
    """A folder for the notes of this command and of all processes that it starts.

    Nothing of it stays: not the folders above it either, if they were made for it and are empty.

    Raises:
        UserError: the parent folder cannot be written.
    """
    parent = parent.absolute()
    above: list[Path] = []
    folder = parent / SWEEPS / uuid.uuid4().hex
    with ExitStack() as alive:
        try:
            above += [place for place in (parent, *parent.parents) if not place.exists()]
            _begin(folder, alive)
        except OSError as error:
            _remove_empty(above)
            raise cannot_write(parent, error) from error
        _known_here.clear()
        os.environ[VARIABLE] = str(folder)
        try:
            yield folder
        finally:
            del os.environ[VARIABLE]
            _end(folder)
            _remove_empty(above)


def _begin(folder: Path, alive: ExitStack) -> None:
    """Make the folder, and remove what killed commands left."""
    sweeps = folder.parent
    # Nobody sweeps between the making of a folder and its lock.
    with holding(sweeps.with_name(LOCK)):
        for other in sweeps.iterdir() if sweeps.is_dir() else ():
            _remove_if_dead(other)
        folder.mkdir(parents=True)
        alive.enter_context(holding(folder / ALIVE))
    remove_dead_locks(sweeps.parent)
    remove_leftovers(sweeps.parent / SHARED)


def _has_jobs(folder: Path, *states: str) -> bool:
    return (folder / QUEUED).is_dir() and any(e.state in states for e in noted(folder))


def _end(folder: Path) -> None:
    # Jobs that a stopped command leaves in the queue of a cluster still read their files.
    if not _has_jobs(folder, WAITING, KILLED):
        shutil.rmtree(folder, ignore_errors=True)
    # A full disk may have no room for the lock; the next command removes the empty folder then.
    with suppress(OSError), holding(folder.parent.with_name(LOCK)):
        folder.parent.rmdir()


def _remove_if_dead(folder: Path) -> None:
    """Remove the folder of a command that was killed: its lock is free, or was never made."""
    jobs = folder / QUEUED
    if jobs.is_dir() and time.time() - jobs.stat().st_mtime < LONGEST_QUEUE:
        return
    try:
        if (folder / ALIVE).exists():
            with holding(folder / ALIVE, wait=False):
                pass
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        # It is held (`Timeout` is an OSError), or not ours to remove; it does no harm.
        return


def _remove_empty(places: list[Path]) -> None:
    """Remove folders, the innermost first, up to one that is not empty."""
    with suppress(OSError):
        for place in places:
            place.rmdir()


def _told_apart(notes: list[Note]) -> list[Note]:
    """The cells under names that no two things of different places share."""
    for axis in PLACES:
        names = [getattr(entry, axis) for entry in notes]
        longer = told_apart(names, [entry.places.get(axis, "") for entry in notes])
        notes = [replace(entry, **{axis: name}) for entry, name in zip(notes, longer, strict=True)]
    return notes


def summary(notes: list[Note]) -> Group:
    """A table of all cells, and how many ended how."""
    table = Table()
    # What is copied or searched for is whole; the rest may be broken.
    for head in ("task method ablation model", "key", "state", ""):
        table.add_column(head, no_wrap=head in ("key", "state"), overflow="fold")
    notes = _told_apart(notes)
    shared = set.intersection(*(set(entry.changes) for entry in notes))
    for entry in notes:
        state = Text(entry.state, style=COLOURS.get(entry.state, "red"))
        table.add_row(entry.title(unsaid=shared), entry.key, state, entry.detail)
    counts = Counter(entry.state for entry in notes)
    return Group(table, ", ".join(f"{n} {state}" for state, n in counts.most_common()))

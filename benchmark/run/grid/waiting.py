"""Cells that wait for a job of a cluster, told apart from those that are missing."""

import os
from dataclasses import replace
from pathlib import Path

from benchmark.run.grid.sweep import KILLED, RUNNING, SWEEPS, VARIABLE, WAITING, Note, write_note

# In the folder of a command, a file for each cell that waits for a job, by its key.
WAITS = "queued"


def note_waiting(job: int, entry: Note) -> None:
    """Note a cell that waits for a job, whose own notes count from then on."""
    folder = Path(os.environ[VARIABLE])
    (folder / WAITS).mkdir(exist_ok=True)
    (folder / WAITS / entry.key).touch()
    write_note(folder / f"{job}.json", replace(entry, state=WAITING))


def end_waiting(job: int) -> None:
    """Let a cell wait no longer, whose job has ended; note it as lost if it never began."""
    folder = Path(os.environ[VARIABLE])
    path = folder / f"{job}.json"
    entry = Note.read(path.read_text())
    (folder / WAITS / entry.key).unlink(missing_ok=True)
    if entry.state == WAITING:
        write_note(path, replace(entry, state=KILLED, detail="its job ended before it began"))


def with_jobs_that_go_on(folder: Path, notes: list[Note]) -> list[Note]:
    """The notes of a stopped command, whose jobs the queue of a cluster did not stop."""
    return [
        replace(entry, state=RUNNING, detail="its job goes on without this command")
        if entry.state == KILLED and (folder / WAITS / entry.key).exists()
        else entry
        for entry in notes
    ]


def waits(results_dir: Path, key: str) -> bool:
    """Whether a command that is not at its end has a cell in the queue of a cluster."""
    sweeps = results_dir / SWEEPS
    folders = sweeps.iterdir() if sweeps.is_dir() else ()
    return any((folder / WAITS / key).exists() for folder in folders)

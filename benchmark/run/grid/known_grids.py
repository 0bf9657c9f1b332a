"""Grids that were listed before, so that the states of their cells are told at once.

Which cells a command has, and their keys, follow from what was typed, the sources of this project
and the files of local models. Working that out takes Hydra and imports torch; so it is kept in the
user's cache with what the file system says of those files (sizes, times, inodes).
Only `validate` looks there: `run` works it out. Grids that depend on more are not kept: on
packages, options, prompts or circuits of the user's own, or on the environment.
"""

import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from benchmark.config import ALLOWED_PACKAGES
from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.files import cache_folder, replacing
from benchmark.models.places import local_directory
from benchmark.records.form import AtLeast, FormError, from_bytes, to_bytes
from benchmark.run.grid.sweep import Note
from benchmark.shadows import options_folder

if TYPE_CHECKING:
    from benchmark.run.cell import Cell

SCHEMA = 1
# Seconds after which the grids of other sources, to which none was added, are forgotten.
KEPT_FOR = 30 * 24 * 3600
MULTIRUN = ("-m", "--multirun")
# Parts of what may be typed that let more than settings decide.
OTHERWISE = ("plugins=", "hydra.", "hydra/", "${")


@dataclass(frozen=True)
class KnownGrid:
    """The cells of a command.

    Attributes:
        cells: their notes, as they were when they were listed.
        models: by name, what the file system said of the files of every model.
        schema: version of this form.
    """

    cells: list[dict[str, Any]]
    models: dict[str, str]
    schema: Annotated[int, AtLeast(1)] = SCHEMA


def known_grid(arguments: list[str]) -> list[Note] | None:
    """The cells of what was typed, with their keys, if they are known under equal files."""
    path = _place(arguments)
    try:
        grid = from_bytes(KnownGrid, path.read_bytes(), SCHEMA) if path else None
    except (OSError, FormError):
        return None
    if grid is None or any(model_facts(name) != facts for name, facts in grid.models.items()):
        return None
    return [Note.of(content) for content in grid.cells]


def remember_grid(arguments: list[str], notes: list[Note]) -> None:
    """Keep the cells of what was typed, unless something else decides the key of one."""
    path = _place(arguments)
    models: dict[str, str] = {}
    for entry in notes:
        if not entry.key or entry.decided_by is None:
            return
        models |= entry.decided_by
    # What cannot be kept is worked out again.
    with suppress(OSError):
        if path is not None and notes:
            _forget(path.parent.parent)
            with replacing(path) as temporary:
                temporary.write_bytes(to_bytes(KnownGrid([asdict(n) for n in notes], models)))


def decided_by_settings(cell: "Cell") -> bool:
    """Whether settings, our sources and the model's files are all that decide a cell's key."""
    from benchmark.method.circuits import ReadsFiles

    # A task whose fingerprint is its own may look at files.
    its_own = not type(cell.built_task).fingerprint.__module__.startswith("benchmark.")
    return not its_own and not isinstance(cell.built_method, ReadsFiles)


def model_facts(name: str) -> str:
    """What the file system says of a local model's files; empty for a name of the hub."""
    try:
        folder = local_directory(name)
    except UserError:
        return "to be fetched"
    return _facts(folder) if folder else ""


def _place(arguments: list[str]) -> Path | None:
    """The file of a command's cells; None where more decides them."""
    for text in arguments:
        flag = text.startswith("-") and text not in MULTIRUN
        if flag or any(part in text for part in OTHERWISE):
            return None
    return cache_folder() / "grids" / _of_sources() / digest([arguments, str(Path.cwd())])


@cache
def _of_sources() -> str:
    places = (*map(files, ALLOWED_PACKAGES), options_folder())
    return digest([_facts(Path(str(place))) for place in places])


def _facts(folder: Path) -> str:
    """A digest of what the file system says of all files in and under a folder."""
    listed = sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    stats = [(str(path), path.stat()) for path in listed if path.is_file()]
    return digest([[name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for name, s in stats])


def _forget(grids: Path) -> None:
    """Remove the grids of sources that were left long ago."""
    for folder in grids.iterdir() if grids.is_dir() else ():
        if time.time() - folder.stat().st_mtime > KEPT_FOR:
            shutil.rmtree(folder, ignore_errors=True)

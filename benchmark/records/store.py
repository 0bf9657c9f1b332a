"""The folder of a record, and when what lies in it counts as whole.

The record itself is written last and names the digests of the files beside it, so a folder that
a kill or a full disk left half written has no record, or one that does not fit: it is run again.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.digests import digest_of_file
from benchmark.errors import UserError, near
from benchmark.locks import ENDING, Timeout, holding
from benchmark.records.record import RECORD, DamagedError, Record

ASIDE, EXPERIMENTS, SHARED = "aside", ".experiments", ".shared"
# Where Weights & Biases keeps what it sends, or will.
MIRRORS = "wandb"
MOST_BYTES = 200  # of a name; file systems allow 255, endings included
log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Folder:
    """The place of one record: `results_dir`/`key`."""

    results_dir: Path
    key: str

    @property
    def path(self) -> Path:
        """The folder."""
        return self.results_dir / self.key

    @property
    def work(self) -> Path:
        """Where checkpoints live until the record is whole."""
        return self.path / "checkpoints"

    @property
    def shared(self) -> Path:
        """Where records keep what is costly and the same for many of them."""
        return self.results_dir / SHARED

    def read(self) -> Record:
        """The whole record.

        Raises:
            UserError: there is none; it, or a file beside it, is damaged; it is of another version,
                or the copy of another record.
        """
        record = Record.read(self.path / RECORD)
        if record.key != self.key:
            raise UserError(
                f"{self.path} holds a copy of record {record.key}; delete it, or move it elsewhere"
            )
        for name, digest in record.files.items():
            file = self.path / name
            if not file.is_file() or digest_of_file(file) != digest:
                raise DamagedError(
                    f"record {self.path / RECORD} is damaged: {name} beside it is missing or "
                    "another than it names; run its command again, or delete its folder"
                )
        return record

    def record(self) -> Record | None:
        """The whole record, or None if there is none or it is damaged."""
        try:
            return self.read()
        except UserError:
            return None

    @property
    def _lock(self) -> Path:
        return self.results_dir / f".{self.key}{ENDING}"

    def is_held(self) -> bool:
        """Whether a process is at work on the record now, as far as can be told."""
        if not self._lock.exists():
            return False
        try:
            with holding(self._lock, wait=False):
                return False
        except Timeout:
            return True
        except OSError:
            # A folder that cannot be written tells nothing.
            return False

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the folder for this process; gives whether another one held it before.

        Raises:
            UserError: the results folder cannot be written.
        """
        path = self._lock
        with ExitStack() as held:
            try:
                try:
                    held.enter_context(holding(path, wait=False))
                    waited = False
                except Timeout:
                    log.info("%s: waiting for another process that runs it", self.key)
                    held.enter_context(holding(path))
                    waited = True
            except OSError as error:
                raise cannot_write(self.results_dir, error) from error
            yield waited

    def put_aside(self, created: str) -> Path:
        """Move the folder out of the way, but for its checkpoints; return where it is now."""
        target = self._place_aside(self.key, created)
        self.path.rename(target)
        if (target / self.work.name).exists():
            self.path.mkdir()
            (target / self.work.name).rename(self.work)
        return target

    def work_aside(self, created: str) -> Path:
        """Move the checkpoints out of the way; return where they are now."""
        target = self._place_aside(f"{self.key}-{self.work.name}", created)
        self.work.rename(target)
        return target

    def mirrors_aside(self, created: str) -> None:
        """Move what an earlier record of this key left for Weights & Biases out of the way."""
        for path in (self.results_dir / MIRRORS).glob(f"offline-run-*-{self.key}"):
            path.rename(self._place_aside(path.name, created))

    def _place_aside(self, name: str, created: str) -> Path:
        stamp = created.replace(":", "").replace("-", "")
        target = self.results_dir / ASIDE / f"{name}-{stamp}"
        number = 1
        while target.exists():
            number += 1
            target = target.with_name(f"{name}-{stamp}-{number}")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def join(folder: Folder, experiment: str | None) -> None:
    """Make a record one of an experiment's, which may share it with others."""
    if experiment is not None:
        place = folder.results_dir / EXPERIMENTS / checked_experiment(experiment)
        place.mkdir(parents=True, exist_ok=True)
        (place / folder.key).touch()


def checked_experiment(name: str) -> str:
    """The name of an experiment, which is the name of a folder.

    Raises:
        UserError: it would leave the folder of results, or no folder can have it.
    """
    outside = name in ("", ".", "..") or "/" in name or "\\" in name
    if outside or not name.isprintable() or len(name.encode("utf-8", "replace")) > MOST_BYTES:
        raise UserError(
            f"experiment_name={name[:40]!r} is not the name of a folder; give at most "
            f"{MOST_BYTES} bytes without slashes, as experiment_name=first_try"
        )
    return name


def members(results_dir: Path, experiment: str) -> set[str]:
    """The keys of an experiment's records.

    Raises:
        UserError: there is no such experiment.
    """
    checked_experiment(experiment)
    place = results_dir / EXPERIMENTS
    known = [path.name for path in place.iterdir()] if place.is_dir() else []
    if experiment not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise UserError(
            f"experiment_name={experiment} has no record in results_dir={results_dir}"
            f"{near(experiment, known)}; experiments there: {listed}"
        )
    return {path.name for path in (place / experiment).iterdir()}


def folders(results_dir: Path) -> list[Folder]:
    """All folders that may hold a record, in order of their keys.

    Raises:
        UserError: there is no such folder of results, or it cannot be read.
    """
    try:
        if not results_dir.exists():
            raise UserError(f"results_dir={results_dir} does not exist; run something first")
        found = sorted(path.name for path in results_dir.iterdir() if (path / RECORD).is_file())
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"results_dir={results_dir} cannot be read: {reason}") from error
    return [Folder(results_dir, name) for name in found]


def cannot_write(results_dir: Path, error: OSError) -> UserError:
    """The error of a results folder that is read-only or full."""
    return UserError(
        f"results_dir={results_dir} cannot be written: {error.strerror or error}; nothing that was "
        "finished is lost; give another folder or make room, and run the same command again"
    )

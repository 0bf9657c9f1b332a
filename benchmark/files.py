"""Names of files, and writing them: a crash, a kill or a full disk never leaves half of one."""

import fcntl
import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# How names of temporary files end, and the age in seconds at which one may be a leftover.
TEMPORARY, YOUNG = ".part", 60


def cache_folder() -> Path:
    """The folder in the user's cache for what can be fetched or worked out again."""
    on_mac = Path.home() / "Library" / "Caches"
    cache = on_mac if sys.platform == "darwin" else Path.home() / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or cache) / "ablation-bench"


def file_stem(*words: object) -> str:
    """A name of a file, without its ending, from words that may hold any characters."""
    return "_".join(re.sub(r"[^\w.=-]+", "-", str(word)) for word in words)


class Stems:
    """Names of the files of one command: no two things share one, in capitals or without."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[str, ...]] = {}

    def __call__(self, *words: str) -> str:
        """The stem of these words; of words whose stem others have, with a digest of their own."""
        stem = file_stem(*words)
        if self._named.setdefault(stem.casefold(), words) == words:
            return stem
        return f"{stem}~{hashlib.sha256(repr(words).encode()).hexdigest()[:8]}"


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place if the block ends without an error.

    The content is on the disk before the name changes, unless it need not outlast a loss of power.
    On an error the old file stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    temporary = Path(name)
    try:
        _held(handle)
        yield temporary
        if lasting:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        # mkstemp makes private files; give the result the permissions of an ordinary one.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, of_all: bool = False) -> None:
    """Remove the temporary files in and under a folder that killed writers left.

    A writer holds its file, and the hold ends with its process, however that ends. A file younger
    than a minute stays: its writer may be about to take hold of it.

    Args:
        folder: the folder; it need not exist.
        of_all: remove young ones too, as nobody else writes here.
    """
    for path in folder.rglob(f".*{TEMPORARY}"):
        try:
            young = time.time() - path.stat().st_mtime < YOUNG
            if young and not of_all:
                continue
            with path.open("rb") as file:
                if _held(file.fileno()):
                    path.unlink()
        except OSError:
            # Another process removed it, or it is not ours to remove; it does no harm.
            continue


def _held(handle: int) -> bool:
    """Take hold of an open file; False if another process holds it, or the disk knows no holds."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes the place of `path` and all in it if the block ends without an error.

    On an error the old folder stays.
    """
    path = Path(path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as place:
        new = Path(place) / "new"
        new.mkdir()
        yield new
        if path.exists():
            path.rename(Path(place) / "old")
        new.rename(path)

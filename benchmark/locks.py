"""Locks between processes, as files that go when they are let go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

ENDING = ".lock"


@contextmanager
def holding(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock; its file is removed at the end.

    Who waited for a file that is gone by then notices (it has no name left), and begins anew.

    Args:
        path: the file; its folder is made.
        wait: for another process that holds it.

    Raises:
        Timeout: another process holds it, and `wait` is false.
        OSError: the file cannot be made.
    """
    lock = FileLock(path)
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=-1 if wait else 0)
            break
        except FileNotFoundError:
            # Another process removed the folder, empty, since it was made.
            continue
    try:
        yield
    finally:
        # While it is held: a moment later the name may be another's.
        path.unlink(missing_ok=True)
        lock.release()


def remove_dead_locks(folder: Path) -> None:
    """Remove the lock files in a folder that nobody holds: their processes were killed."""
    for path in folder.glob(f".*{ENDING}"):
        try:
            with holding(path, wait=False):
                continue
        except OSError:
            # It is held (`Timeout` is an OSError), or not ours to remove; it does no harm.
            continue


__all__ = ["ENDING", "Timeout", "holding", "remove_dead_locks"]

"""Faults at a chosen file operation of this process: a kill, or a disk that is full from there on.

Needs nothing but the standard library, so that a worker may install one before anything else. What
is to happen can be pickled.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# What a full disk refuses; names can be changed and removed all the same.
NEEDS_ROOM = ("open", "os.mkdir", "os.fsync")
Act = Callable[[int, str], None]


def at_each_operation(folder: Path, act: Act) -> None:
    """Let `act` see the number and the name of each change in a folder, just before it is made."""
    numbers, fsync = count(1), os.fsync

    def hook(event, arguments):
        if _changes(event, arguments, str(folder)):
            act(next(numbers), event)

    def counted(handle):
        act(next(numbers), "os.fsync")
        fsync(handle)

    sys.addaudithook(hook)
    os.fsync = counted


def _changes(event, arguments, folder) -> bool:
    if event == "open":
        path, _, flags = arguments
        if not isinstance(path, str | os.PathLike) or not flags & WRITING:
            return False
    elif event in CHANGES:
        path = arguments[0]
        # Of a file in an open folder, as `shutil.rmtree` has it, only the name is told.
        if isinstance(arguments[-1], int) and arguments[-1] >= 0 and event != "os.chmod":
            return True
    else:
        return False
    return str(Path(os.fspath(path)).absolute()).startswith(folder)


def kill_at(number: int) -> Act:
    """SIGKILL this process before the operation of this number."""
    return partial(_kill, number)


def full_from(number: int) -> Act:
    """No operation from this number on finds room."""
    return partial(_refuse, number)


def counting_into(path: Path) -> Act:
    """Write the number of each operation into a file that is elsewhere."""
    return partial(_count, path)


def _kill(number: int, n: int, _: str) -> None:
    if n == number:
        os.kill(os.getpid(), signal.SIGKILL)


def _refuse(number: int, n: int, event: str) -> None:
    if n >= number and event in NEEDS_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _count(path: Path, n: int, _: str) -> None:
    path.write_text(str(n))

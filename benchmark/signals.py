"""Ctrl-C and SIGTERM: the first ends a command in order, a second one at once.

The first raises SystemExit wherever the command is. Compiled code that is being imported may turn
it into an error of another kind, or drop it; so it is remembered, and who handles errors asks.
"""

import signal
import sys
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What a command exits with, as shells know it.
SIGNALLED = tuple(128 + number for number in SIGNALS)
# The number of the first signal that came.
_came: list[int] = []


def leave_on_signals() -> None:
    """Let a signal leave the command as `sys.exit` does; those that are ignored stay so."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def signal_code() -> int:
    """What the command is to exit with because of a signal; 0 if none came."""
    return 128 + _came[0] if _came else 0


def leave_if_signalled() -> None:
    """Leave the command if a signal came that did not end it.

    Raises:
        SystemExit: one came.
    """
    if _came:
        sys.exit(signal_code())


def _leave(number: int, _: FrameType | None) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    _came.append(number)
    sys.exit(128 + number)

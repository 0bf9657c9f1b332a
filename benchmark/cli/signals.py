"""Ctrl-C and SIGTERM: the first ends a command in order, a second one at once."""

import signal
import sys
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What a command exits with, as shells know it.
SIGNALLED = tuple(128 + number for number in SIGNALS)


def leave_on_signals() -> None:
    """Let a signal leave the command as `sys.exit` does; those that are ignored stay so."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    sys.exit(128 + number)

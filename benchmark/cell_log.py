"""The log of a cell, beside its record."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("benchmark")


class LogFile(logging.FileHandler):
    """A log file whose disk may be full: the same lines go to stderr, so nothing is lost."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Print no traceback for each line."""


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Copy what is logged inside the block to a file."""
    handler = LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()

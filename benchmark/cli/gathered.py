"""Running the cells of one command, and telling at its end what became of them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import CompactHydraException

from benchmark.cli.terminal import or_refuse, show, show_whole, warn
from benchmark.config import configured_alone
from benchmark.errors import UserError
from benchmark.signals import SIGNALLED, signal_code

if TYPE_CHECKING:
    from benchmark.run.grid.sweep import Note


def gathered(
    jobs: Callable[[], None],
    parent: Path,
    then: Callable[[list["Note"]], None] = lambda notes: None,
) -> None:
    """Run Hydra's jobs, print a table of their cells, and exit with 1 if one is bad or unknown.

    Args:
        jobs: what runs them; each notes its cell.
        parent: the folder in which notes are kept until all is done.
        then: is given the notes, if all jobs came to their end.
    """
    from benchmark.records.store import cannot_write
    from benchmark.run.grid.sweep import REFUSED, gathering, noted, reports_on
    from benchmark.run.grid.waiting import with_jobs_that_go_on

    if {"-h", "--help", "--hydra-help", "--cfg", "-c", "--info", "-i"} & set(sys.argv[1:]):
        jobs()
        return

    def gather() -> int:
        with gathering(parent) as folder:
            code = 0
            try:
                jobs()
            except OSError as error:
                raise cannot_write(parent, error) from error
            except SystemExit as stopped:
                # A signal, or a launcher whose job was killed; the table still tells of the others.
                code = int(stopped.code or 0) if not isinstance(stopped.code, str) else 1
            code = signal_code() or code
            notes = with_jobs_that_go_on(folder, noted(folder))
            signalled = code in SIGNALLED
            if notes and not signalled and all(entry.state == REFUSED for entry in notes):
                raise UserError("; ".join(dict.fromkeys(entry.detail for entry in notes)))
            bad = tell(notes)
            _tell_of_killed(folder)
            if signalled:
                warn("stopped; what is done is kept, and the same command goes on from there")
                return code
            if not notes and not code:
                warn("no cell of this command left a note, so nothing is known of them")
                code = 1
            if not code:
                then(notes)
            for results_dir, experiment in reports_on(notes):
                _report(results_dir, experiment)
            return code or bad

    sys.exit(or_refuse(gather))


def tell(notes: list["Note"]) -> int:
    """Print a table of cells; return 1 if one is bad, else 0."""
    from benchmark.run.grid.sweep import BAD, summary

    if notes:
        show(summary(notes))
    return int(any(entry.state in BAD for entry in notes))


def _tell_of_killed(folder: Path) -> None:
    """Say where to read more of jobs that were killed."""
    from benchmark.run.grid.sweep import logs_of_killed_jobs

    if logs := logs_of_killed_jobs(folder):
        warn(f"what the killed jobs said is in {logs} for a week")


@contextmanager
def noting() -> Iterator[None]:
    """Hand on what keeps a cell from being noted in the form that Hydra prints in one line.

    It does so after the other cells, and ends with 1.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        message = f"ablation-bench: what became of a cell cannot be noted: {reason}"
        raise CompactHydraException(message) from error


def _report(results_dir: str, experiment: str | None) -> None:
    """The leaderboard and the figures of an experiment, with the defaults of their verbs."""
    changes = {"results_dir": results_dir, "experiment_name": experiment}
    for verb in ("leaderboard", "figures"):
        try:
            show_whole(configured_alone(verb, **changes).run())
        except UserError as error:
            warn(f"no {verb}: {error}")

"""The jobs behind `run` and `validate`: one cell each, with a note of what became of it."""

import logging

from omegaconf import DictConfig

from benchmark.config import build
from benchmark.errors import UserError
from benchmark.memory import keep_freed_memory
from benchmark.records.record import Status
from benchmark.run.cell import Cell, title_of
from benchmark.run.sweep import KILLED, MISSING, REFUSED, Note, note, stop, stopped


def run_job(config: DictConfig, job: int, changes: str) -> None:
    """Run a cell of a grid; its failure is noted and does not end the others, unless asked to.

    Args:
        config: the cell's settings.
        job: its number in the grid.
        changes: what the grid changes for it beside the options of groups, for its title.
    """
    from benchmark.run.machine import compute_repeatably
    from benchmark.run.mirror import mirror
    from benchmark.run.runner import run_cell

    keep_freed_memory()
    compute_repeatably()
    _log_to_stderr()
    if stopped():
        return
    title = _title(config, changes)
    cell = _cell(config, job, title)
    if cell is None:
        return
    note(job, Note(title, cell.key, KILLED, "ended without a record; run it again"))
    try:
        outcome = run_cell(cell)
    except UserError as error:
        note(job, Note(title, cell.key, Status.failed.value, str(error)))
        _stop_if_asked(cell)
        return
    record = outcome.record
    if record.status is Status.done:
        mirror(record, cell)
    detail = record.reason or ("was there before" if outcome.was_there else "")
    report_on = (cell.results_dir, cell.experiment_name) if cell.report else None
    note(job, Note(title, cell.key, record.status.value, detail, report_on))
    if record.status is Status.failed:
        _stop_if_asked(cell)


def validate_job(config: DictConfig, job: int, changes: str) -> None:
    """Note the state of a cell and run nothing."""
    title = _title(config, changes)
    cell = _cell(config, job, title)
    if cell is None:
        return
    record = cell.folder.record()
    if record is not None:
        entry = Note(title, cell.key, record.status.value, record.reason or "")
    else:
        begun = cell.folder.path.exists()
        entry = Note(title, cell.key, MISSING, "begun; goes on where it was" if begun else "")
    note(job, entry)


def _stop_if_asked(cell: Cell) -> None:
    if cell.fail_fast:
        stop()


def _cell(config: DictConfig, job: int, title: str) -> Cell | None:
    """The cell that a config describes; None, with a note, if it cannot be."""
    try:
        return build(config, where="run").checked()
    except UserError as error:
        note(job, Note(title, "", REFUSED, str(error)))
        return None


def _title(config: DictConfig, changes: str) -> str:
    return f"{title_of(config.names, config.seed)} {changes}".strip()


def _log_to_stderr() -> None:
    log = logging.getLogger("benchmark")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        log.addHandler(handler)
        log.propagate = False

"""The jobs behind `run` and `validate`: one cell each, with a note of what became of it."""

import logging

from omegaconf import DictConfig

from benchmark.cell import Cell
from benchmark.config import build
from benchmark.errors import UserError
from benchmark.memory import keep_freed_memory
from benchmark.record import Status
from benchmark.sweep import KILLED, REFUSED, Note, note, stop, stopped


def run_job(config: DictConfig, job: int) -> None:
    """Run a cell of a grid; its failure is noted and does not end the others, unless asked to."""
    from benchmark.determinism import compute_repeatably
    from benchmark.running import run_cell
    from benchmark.tracking import mirror

    keep_freed_memory()
    compute_repeatably()
    _log_to_stderr()
    if stopped():
        return
    cell = _cell(config, job)
    if cell is None:
        return
    note(job, Note(cell.title, cell.key, KILLED, "ended without a record; run it again"))
    try:
        outcome = run_cell(cell)
    except UserError as error:
        note(job, Note(cell.title, cell.key, Status.failed.value, str(error)))
        _stop_if_asked(cell)
        return
    record = outcome.record
    if record.status is Status.done:
        mirror(record, cell)
    detail = record.reason or ("was there before" if outcome.was_there else "")
    report_on = (cell.results_dir, cell.experiment_name) if cell.report else None
    note(job, Note(cell.title, cell.key, record.status.value, detail, report_on))
    if record.status is Status.failed:
        _stop_if_asked(cell)


def validate_job(config: DictConfig, job: int) -> None:
    """Note the state of a cell and run nothing."""
    cell = _cell(config, job)
    if cell is None:
        return
    record = cell.folder.record()
    exists = cell.folder.path.exists()
    if record is not None:
        entry = Note(cell.title, cell.key, record.status.value, record.reason or "")
    else:
        entry = Note(
            cell.title, cell.key, "missing", "begun; goes on where it was" if exists else ""
        )
    note(job, entry)


def _stop_if_asked(cell: Cell) -> None:
    if cell.fail_fast:
        stop()


def _cell(config: DictConfig, job: int) -> Cell | None:
    """The cell that a config describes; None, with a note, if it cannot be."""
    try:
        return build(config, where="run").checked()
    except UserError as error:
        note(job, Note(_title(config), "", REFUSED, str(error)))
        return None


def _title(config: DictConfig) -> str:
    return " ".join(str(config.names[kind]) for kind in ("task", "method", "ablation", "model"))


def _log_to_stderr() -> None:
    log = logging.getLogger("benchmark")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        log.addHandler(handler)
        log.propagate = False

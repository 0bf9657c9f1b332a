"""The jobs behind `run` and `validate`: one cell each, with a note of what became of it."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from benchmark.config import build, once
from benchmark.errors import UserError
from benchmark.memory import keep_freed_memory
from benchmark.records.names import is_said, names_of, places_of
from benchmark.records.record import RECORD, Status
from benchmark.records.store import Folder, join
from benchmark.run.grid.known_grids import decided_by_settings, model_facts
from benchmark.run.grid.sweep import (
    KILLED,
    MISSING,
    REFUSED,
    RUNNING,
    WAITING,
    Note,
    note,
    stop,
    stopped,
)
from benchmark.run.grid.waiting import note_waiting, waits
from benchmark.signals import leave_if_signalled

if TYPE_CHECKING:
    from benchmark.run.cell import Cell

log = logging.getLogger("benchmark")
ENDED = "ended without a record; run it again"


def run_job(config: DictConfig, job: int, changes: tuple[str, ...]) -> None:
    """Run a cell of a grid; its failure is noted and does not end the others, unless asked to.

    Args:
        config: the cell's settings.
        job: its number in the grid.
        changes: what the grid changes for it beside the options of groups, as typed.

    Raises:
        OSError: what became of it cannot be noted.
    """
    from benchmark.run.machine import compute_repeatably
    from benchmark.run.runner import run_cell

    leave_if_signalled()
    keep_freed_memory()
    compute_repeatably()
    _log_to_stderr()
    if stopped():
        return
    begun, cell = _begun(config, job, changes)
    if cell is None:
        return
    begun = replace(begun, key=cell.key, state=KILLED, detail=ENDED)
    # It is noted again when it ends; the disk may have room by then.
    with suppress(OSError):
        note(job, begun)
    try:
        outcome = run_cell(cell)
    except Exception as error:
        reason = _in_words(error)
        _stop_if_asked(cell)
        note(job, replace(begun, state=Status.failed.value, detail=reason))
        return
    record = outcome.record
    if record.status is Status.done and cell.tracking != "off":
        from benchmark.run.mirror import mirror

        mirror(record, cell)
    before = ["was there before"] if outcome.was_there else []
    detail = record.reason or "; ".join([*before, *record.warnings])
    report_on = (cell.results_dir, cell.experiment_name) if cell.report else None
    if record.status is Status.failed:
        _stop_if_asked(cell)
    state = record.status.value
    note(job, replace(begun, state=state, detail=detail, report_on=report_on))


def validate_job(config: DictConfig, job: int, changes: tuple[str, ...]) -> None:
    """Note the state of a cell and run nothing."""
    before = model_facts(str(OmegaConf.select(config, "model.name")))
    named, cell = _begun(config, job, changes)
    if cell is not None:
        _list(named, cell, job, before)


def validate_cell(cell: "Cell", job: int, changes: tuple[str, ...]) -> bool:
    """The same for a cell that was not checked yet; False, and no note, if it cannot be one."""
    name = cell.model_choice.name
    before = once(["facts", name], lambda: model_facts(name))
    try:
        cell.checked()
    except Exception:
        leave_if_signalled()
        return False
    _list(_named(asdict(cell), changes), cell, job, before)
    return True


def _list(named: Note, cell: "Cell", job: int, facts: str) -> None:
    """Note the state of a cell; `facts` are of its model's files, from before it was built."""
    decided_by = {cell.model_choice.name: facts} if decided_by_settings(cell) else None
    listed = replace(named, key=cell.key, results_dir=cell.results_dir, decided_by=decided_by)
    note(job, with_state(listed))


def queue_job(config: DictConfig, job: int, changes: tuple[str, ...]) -> bool:
    """Note a cell that waits for a job of a cluster; False if there is nothing to run.

    A record that is there is run or mirrored again only where that was asked for.
    """
    named, cell = _begun(config, job, changes)
    if cell is None:
        return False
    listed = with_state(replace(named, key=cell.key, results_dir=cell.results_dir))
    there = listed.state in (Status.done.value, Status.skipped.value)
    if not there or cell.overwrite or cell.tracking != "off":
        note_waiting(job, listed)
        return True
    join(cell.folder, cell.experiment_name)
    report_on = (cell.results_dir, cell.experiment_name) if cell.report else None
    detail = listed.detail or "was there before"
    note(job, replace(listed, detail=detail, report_on=report_on))
    return False


def with_state(listed: Note) -> Note:
    """The note of a listed cell, with the state of its record."""
    try:
        state, detail = _state(Folder(Path(listed.results_dir), listed.key))
    except OSError as error:
        state = REFUSED
        detail = f"results_dir={listed.results_dir} cannot be read: {error.strerror or error}"
    return replace(listed, state=state, detail=detail)


def _state(folder: Folder) -> tuple[str, str]:
    """What a record is, and the reason; what a missing one left."""
    if not (folder.path / RECORD).is_file():
        if folder.is_held():
            return RUNNING, ""
        if waits(folder.results_dir, folder.key):
            return WAITING, ""
        return MISSING, "begun; goes on where it was" if folder.path.exists() else ""
    try:
        record = folder.read()
    except UserError as error:
        return MISSING, str(error)
    return record.status.value, record.reason or ""


def _stop_if_asked(cell: "Cell") -> None:
    if cell.fail_fast:
        stop()


def _begun(config: DictConfig, job: int, changes: tuple[str, ...]) -> "tuple[Note, Cell | None]":
    """A cell's note, and the cell; None, with a note that says why, if there cannot be one."""
    named = Note("?", "?", "?", "?", seed="?", changes=changes)
    try:
        settings: Any = OmegaConf.to_container(config, resolve=True)
        named = _named(settings, changes)
        return named, build(config, where="run").checked()
    except Exception as error:
        note(job, replace(named, state=REFUSED, detail=_in_words(error)))
        return named, None


def _in_words(error: Exception) -> str:
    """What went wrong, in a line; what no user can mend is a bug, and its traceback is logged."""
    leave_if_signalled()
    if isinstance(error, UserError):
        return str(error)
    words = f"{type(error).__name__}: {' '.join(str(error).split())}"
    log.error("%s", words, exc_info=error)
    return words


def _named(settings: Mapping[str, Any], changes: tuple[str, ...]) -> Note:
    called = names_of(settings)
    return Note(
        called["task"],
        called["method"],
        called["ablation"],
        called["model"],
        seed=settings["seed"],
        changes=tuple(change for change in changes if not is_said(change, settings)),
        places=places_of(settings),
    )


def _log_to_stderr() -> None:
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        log.addHandler(handler)
        log.propagate = False

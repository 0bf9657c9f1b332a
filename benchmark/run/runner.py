"""Running a cell: let its method work, and leave a whole record.

Whatever happens, the cell ends with a record: done, skipped with the reason, or failed with the
reason and, where no user can mend it, the traceback. Only where its folder cannot be written is
there no more than the note of the command (sweep.py).
"""

import logging
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from benchmark.digests import digest_of_file
from benchmark.errors import UserError
from benchmark.files import remove_leftovers, replacing
from benchmark.method.problem import NOT_GIVEN, Problem
from benchmark.models.loading import LanguageModel
from benchmark.records.record import CONFIG, LOG, RECORD, Record, Status
from benchmark.records.store import Folder, cannot_write, join
from benchmark.references.circuits import reference_masks
from benchmark.run.cell import Cell
from benchmark.run.findings.findings import findings_of, write_findings
from benchmark.run.machine import code_digest, library_versions, machine
from benchmark.run.prompts import Prompts
from benchmark.seeds import derived_seed
from benchmark.signals import leave_if_signalled

# Names, in a folder of checkpoints, the code that made them.
MADE_BY = "made_by"
log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Outcome:
    """A cell's record, and whether it was there before."""

    record: Record
    was_there: bool


def run_cell(cell: Cell) -> Outcome:
    """Run a cell, unless its record is there; failures become records, not errors.

    Raises:
        UserError: the results folder cannot be written, or the cell names what does not exist.
    """
    folder = cell.checked().folder
    with folder.locked() as waited:
        found = folder.record()
        finished = found is not None and found.status is not Status.failed
        try:
            if found is not None and finished and (waited or not cell.overwrite):
                join(folder, cell.experiment_name)
                shutil.rmtree(folder.work, ignore_errors=True)
                remove_leftovers(folder.path, of_all=True)
                return Outcome(found, was_there=True)
            if cell.overwrite:
                shutil.rmtree(folder.work, ignore_errors=True)
            if (folder.path / RECORD).exists():
                log.info("the old record is now %s", folder.put_aside(_now()))
            _keep_work_of_this_code(cell, folder)
            remove_leftovers(folder.path, of_all=True)
            join(folder, cell.experiment_name)
            with logging_to(folder.path / LOG):
                return Outcome(_record_of(cell, folder), was_there=False)
        except OSError as error:
            raise cannot_write(folder.results_dir, error) from error


def _keep_work_of_this_code(cell: Cell, folder: Folder) -> None:
    """Let checkpoints that other code, or code with other libraries, made not be continued."""
    own = (type(part).__module__.split(".")[0] for part in (cell.built_method, cell.built_task))
    code = code_digest(*sorted({"benchmark", *own}))
    maker = folder.work / MADE_BY
    made_by = maker.read_text(errors="replace") if maker.is_file() else None
    if made_by != code and folder.work.is_dir() and any(folder.work.iterdir()):
        place = folder.work_aside(_now())
        log.warning("%s: its checkpoints are of other code; they are now %s", cell.key, place)
    folder.work.mkdir(parents=True, exist_ok=True)
    if not maker.is_file():
        with replacing(maker) as temporary:
            temporary.write_text(code)


def _record_of(cell: Cell, folder: Folder) -> Record:
    """The record of a run, written."""
    started = time.monotonic()
    log.info("%s: %s", cell.key, cell.title)
    try:
        record = _run(cell, folder)
    except Exception as error:
        # Whatever a signal became on its way here, the cell did not fail.
        leave_if_signalled()
        record = _failure(cell, error)
    try:
        record = _sealed(record, cell, folder)
    except (TypeError, ValueError) as error:
        # A plug-in gave what no record can hold.
        record = _sealed(_failure(cell, error), cell, folder)
    reason = f": {record.reason}" if record.reason else ""
    seconds = time.monotonic() - started
    log.info("%s: %s in %.0f s%s", cell.key, record.status.value, seconds, reason)
    if record.status is not Status.failed:
        shutil.rmtree(folder.work, ignore_errors=True)
    return record


def _sealed(record: Record, cell: Cell, folder: Folder) -> Record:
    """The record with the digests of its files, written."""
    with replacing(folder.path / CONFIG) as temporary:
        OmegaConf.save(OmegaConf.create(cell.settings()), temporary)
    names = [CONFIG, *record.files]
    sealed = replace(record, files={name: digest_of_file(folder.path / name) for name in names})
    sealed.write(folder.path / RECORD)
    return sealed


def _failure(cell: Cell, error: Exception) -> Record:
    """The record of a failure; of one that no user can mend, the traceback is logged, too."""
    if isinstance(error, UserError):
        return _unfinished(cell, Status.failed, str(error))
    reason = f"{type(error).__name__}: {error}"
    if not isinstance(error, OSError):
        log.error("%s: %s", cell.key, reason, exc_info=error)
    trace = "".join(traceback.format_exception(error))
    return replace(_unfinished(cell, Status.failed, reason), traceback=trace)


def _unfinished(cell: Cell, status: Status, reason: str) -> Record:
    return Record(
        **_identity(cell),
        status=status,
        created=_now(),
        reason=reason,
        versions=_versions(cell),
    )


def _identity(cell: Cell) -> dict[str, Any]:
    """What a record says of its cell, however it ends."""
    return {
        "key": cell.key,
        "kind": cell.kind,
        "names": cell.called,
        "family": cell.built_task.family,
        "traits": asdict(cell.built_ablation.traits),
        "config": cell.settings(),
    }


def _run(cell: Cell, folder: Folder) -> Record:
    if cell.threads is not None:
        torch.set_num_threads(cell.threads)
    model = cell.model_choice.load()
    prompts = Prompts.of(cell, model)
    for warning in prompts.warnings:
        log.warning(warning)
    problem = problem_of(cell, model, prompts, folder)
    reason = cell.built_method.unsupported(problem)
    if reason is not None:
        return _unfinished(cell, Status.skipped, reason)
    found = findings_of(cell, problem, prompts, folder.work)
    names = write_findings(cell, folder.path, found)
    return Record(
        **_identity(cell),
        status=Status.done,
        created=_now(),
        model={**model.facts(), "files": cell.model_files},
        n_edges=model.graph.n_edges,
        data=prompts.digests,
        versions=_versions(cell),
        machine=machine(model.device),
        summary=found.summary,
        cost={"method": asdict(found.cost), "judging": asdict(found.judging)},
        warnings=[*prompts.warnings, *found.warnings],
        files=dict.fromkeys(names, ""),
        **found.facts,
    )


def problem_of(cell: Cell, model: LanguageModel, prompts: Prompts, folder: Folder) -> Problem:
    """What the method of a cell is given: nothing that it does not say it uses."""
    uses, family = cell.built_method.uses, cell.built_task.family
    return Problem(
        model=model,
        batches=[prompts.train],
        metric=cell.built_metric if "attribution_metric" in uses else NOT_GIVEN,
        ablation=cell.built_ablation,
        references=reference_masks(family, model) if "references" in uses else {},
        seed=derived_seed(cell.seed, "method"),
        training_steps=cell.training_steps if "training_steps" in uses else None,
        work_folder=folder.work,
        shared_folder=folder.shared,
    )


def _versions(cell: Cell) -> dict[str, Any]:
    own = {"task": cell.built_task.version, "method": cell.built_method.version}
    return {**own, **library_versions()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


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

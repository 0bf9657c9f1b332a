"""Running a cell: discover circuits, evaluate them, and leave a whole record.

Discovery sees the train split alone; evaluation fits ablations to the same prompts and measures
on the test split. Whatever happens, the cell ends with a record: done, skipped with the reason,
or failed with the traceback.
"""

import logging
import shutil
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import OmegaConf

from benchmark.cell import Cell
from benchmark.cell_log import logging_to
from benchmark.cell_prompts import Prompts
from benchmark.config import configured
from benchmark.curve import areas, aurocs, curve_rows, ends, recovery
from benchmark.errors import UserError
from benchmark.evaluate import HeldOut, circuit_scores, full_model_scores, passes
from benchmark.files import replacing
from benchmark.found_circuits import load_found, save_found
from benchmark.mask import EdgeMask, stack
from benchmark.matrix_file import save_matrix
from benchmark.meter import Meter, metering
from benchmark.method import FoundCircuit, Problem, stacked_neurons
from benchmark.metric import KLDivergence
from benchmark.model import LanguageModel
from benchmark.provenance import library_versions, machine
from benchmark.record import CONFIG, CURVE, LOG, MASKS, RECORD, Record, Status
from benchmark.references import reference_circuits
from benchmark.seeding import derived_seed
from benchmark.store import Folder, cannot_write, digest_of_file, join

log = logging.getLogger("benchmark")
# Below this accuracy of the whole model, its circuits say little about the task.
LEAST_ACCURACY = 0.5


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
                return Outcome(found, was_there=True)
            if cell.overwrite:
                shutil.rmtree(folder.work, ignore_errors=True)
            if (folder.path / RECORD).exists():
                log.info("the old record is now %s", folder.put_aside(_now()))
            folder.work.mkdir(parents=True, exist_ok=True)
            join(folder, cell.experiment_name)
            with logging_to(folder.path / LOG):
                return Outcome(_record_of(cell, folder), was_there=False)
        except OSError as error:
            raise cannot_write(folder.results_dir, error) from error


def _record_of(cell: Cell, folder: Folder) -> Record:
    """The record of a run, written."""
    started = time.monotonic()
    log.info("%s: %s", cell.key, cell.title)
    try:
        record = _run(cell, folder)
    except UserError as error:
        record = _unfinished(cell, Status.failed, str(error))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        record = replace(_unfinished(cell, Status.failed, reason), traceback=traceback.format_exc())
    with replacing(folder.path / CONFIG) as temporary:
        OmegaConf.save(OmegaConf.create(cell.settings()), temporary)
    names = [CONFIG, *(name for name in (CURVE, MASKS) if record.status is Status.done)]
    record = replace(record, files={name: digest_of_file(folder.path / name) for name in names})
    record.write(folder.path / RECORD)
    reason = f": {record.reason}" if record.reason else ""
    seconds = time.monotonic() - started
    log.info("%s: %s in %.0f s%s", cell.key, record.status.value, seconds, reason)
    if record.status is not Status.failed:
        shutil.rmtree(folder.work, ignore_errors=True)
    return record


def _unfinished(cell: Cell, status: Status, reason: str) -> Record:
    return Record(
        key=cell.key,
        status=status,
        names=cell.names,
        config=cell.settings(),
        created=_now(),
        reason=reason,
        versions=_versions(cell),
    )


def _run(cell: Cell, folder: Folder) -> Record:
    if cell.threads is not None:
        torch.set_num_threads(cell.threads)
    model = cell.model_choice.load()
    sizes = cell.sizes_of(model.graph)
    prompts = Prompts.of(cell, model)
    references = {
        name: found.mask
        for name, found in reference_circuits(cell.built_task.family, model).items()
    }
    problem = Problem(
        model=model,
        batches=[prompts.train],
        metric=cell.built_metric,
        ablation=cell.built_ablation,
        references=references,
        seed=derived_seed(cell.seed, "method"),
        training_steps=cell.training_steps,
        work_folder=folder.work,
    )
    reason = cell.built_method.unsupported(problem)
    if reason is not None:
        return _unfinished(cell, Status.skipped, reason)
    circuits, discovery, warning = _discovered(cell, problem, sizes, folder.work)
    log.info("%d circuits, %.0f s", len(circuits), discovery.seconds)
    with metering() as evaluation:
        curve, facts = _evaluated(cell, model, prompts, circuits, references, folder.work)
    with replacing(folder.path / CURVE) as temporary:
        curve.to_parquet(temporary, index=False)
    keep = stack([found.mask for found in circuits])
    neurons = stacked_neurons(circuits)
    save_matrix(folder.path / MASKS, "keep", keep, model.graph, neurons=neurons)
    return Record(
        key=cell.key,
        status=Status.done,
        names=cell.names,
        config=cell.settings(),
        created=_now(),
        model={**model.facts(), "files": cell.model_files},
        n_edges=model.graph.n_edges,
        data=prompts.digests,
        evaluation=cell.evaluation_settings(),
        cost={"discovery": _cost(discovery), "evaluation": _cost(evaluation)},
        versions=_versions(cell),
        machine=machine(model.device),
        **{**facts, "warnings": [*facts["warnings"], *warning]},
    )


def _discovered(
    cell: Cell, problem: Problem, sizes: list[int], work: Path
) -> tuple[list[FoundCircuit], Meter, list[str]]:
    """The circuits, what they cost, and a warning if the cost is not all of it."""
    path = work / "found.safetensors"
    before = load_found(path, problem.graph)
    if before is not None:
        return *before, []
    resumed = any(work.iterdir())
    with metering() as cost:
        found = [circuit.on("cpu") for circuit in cell.built_method.discover(problem, sizes)]
    if not found:
        raise UserError(f"{cell.names['method']} found no circuit of sizes {sizes}")
    save_found(path, found, cost)
    warning = "the cost of discovery is that since it was resumed, after a kill"
    return found, cost, [warning] if resumed else []


def _evaluated(
    cell: Cell,
    model: LanguageModel,
    prompts: Prompts,
    circuits: Sequence[FoundCircuit],
    references: dict[str, EdgeMask],
    work: Path,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The curve, and the fields of the record that sum it up."""
    names = ("logit_difference", "accuracy", "exact_match", cell.metric_name)
    metrics = {name: configured("metric", name) for name in dict.fromkeys(names)}
    # The loss gap is the first column of every curve, whatever else is measured.
    metrics = {"loss_gap": KLDivergence(), **{k: m for k, m in metrics.items() if k != "kl"}}
    held_out = HeldOut(train=[prompts.train], test=passes(prompts.test), metrics=metrics)
    full = full_model_scores(model, held_out)
    masks = [EdgeMask.empty(model.graph), *(found.mask for found in circuits)]
    neurons = stacked_neurons(circuits)
    if neurons is not None:
        # Of the empty circuit, which comes first: any will do.
        neurons = torch.cat([torch.zeros_like(neurons[:1]), neurons])
    rows, facts = [], {"ends": {}, "areas": {}, "recovery": {}}
    for name, ablation in cell.evaluation.items():
        checkpoint = work / f"constants_{name}.checkpoint"
        scores = circuit_scores(model, masks, ablation, held_out, checkpoint, neurons)
        rows.append(curve_rows(circuits, name, scores, full))
        facts["ends"][name] = ends(scores, full)
        facts["areas"][name] = areas(rows[-1], facts["ends"][name], model.graph.n_edges)
        log.info("evaluated under %s", name)
    if references:
        # Where several circuits are published, the first by name is the one that counts.
        truth = references[sorted(references)[0]]
        rows = [pd.concat([part, recovery(circuits, truth)], axis=1) for part in rows]
        facts["recovery"] = aurocs(circuits, truth)
    accuracy = float(full["accuracy"].mean())
    warnings = list(prompts.warnings)
    if accuracy < LEAST_ACCURACY:
        warnings.append(f"{model.name} does this task with an accuracy of {accuracy:.2f} only")
        log.warning(warnings[-1])
    return pd.concat(rows, ignore_index=True), {
        **facts,
        "accuracy": accuracy,
        "warnings": warnings,
    }


def _cost(meter: Meter) -> dict[str, float]:
    return asdict(meter)


def _versions(cell: Cell) -> dict[str, Any]:
    own = {"task": cell.built_task.version, "method": cell.built_method.version}
    return {**own, **library_versions()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

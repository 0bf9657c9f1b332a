"""What a cell that finds circuits leaves: the curve, the circuits, and the facts of its record.

Discovery sees the train split alone; evaluation fits ablations to the same prompts and measures
on the test split.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.evaluation.circuits import HeldOut, circuit_scores, full_model_scores, passes
from benchmark.evaluation.curve import areas, aurocs, curve_rows, ends, recovery
from benchmark.files import replacing
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, stack
from benchmark.graph.matrix_file import save_matrix
from benchmark.meter import Meter, metering
from benchmark.method.circuits import CircuitMethod, FoundCircuit, stacked_neurons
from benchmark.method.problem import Problem
from benchmark.metric import KLDivergence
from benchmark.models.loading import LanguageModel
from benchmark.records.record import CIRCUITS_FILE, TABLE
from benchmark.records.store import Folder
from benchmark.run.cell import Cell
from benchmark.run.prompts import Prompts
from benchmark.tensors import read_tensors, write_tensors

log = logging.getLogger("benchmark")
# Below this accuracy of the whole model, its circuits say little about the task.
LEAST_ACCURACY = 0.5


def find_and_measure(
    cell: Cell, problem: Problem, prompts: Prompts, folder: Folder
) -> dict[str, Any]:
    """Find circuits, measure them and write the files; return the fields of the record.

    Raises:
        UserError: no circuit was found, or sizes do not fit the model.
    """
    model = problem.model
    sizes = cell.sizes_of(model.graph)
    circuits, discovery, warning = _discovered(cell, problem, sizes, folder.work)
    log.info("%d circuits, %.0f s", len(circuits), discovery.seconds)
    with metering() as evaluation:
        curve, facts = _evaluated(cell, model, prompts, circuits, problem.references, folder.work)
    with replacing(folder.path / TABLE) as temporary:
        curve.to_parquet(temporary, index=False)
    keep = stack([found.mask for found in circuits])
    neurons = stacked_neurons(circuits)
    save_matrix(folder.path / CIRCUITS_FILE, "keep", keep, model.graph, neurons=neurons)
    return {
        **facts,
        "evaluation": cell.evaluation_settings(),
        "cost": {"discovery": asdict(discovery), "evaluation": asdict(evaluation)},
        "warnings": [*facts["warnings"], *warning],
    }


def _discovered(
    cell: Cell, problem: Problem, sizes: list[int], work: Path
) -> tuple[list[FoundCircuit], Meter, list[str]]:
    """The circuits, what they cost, and a warning if the cost is not all of it."""
    path = work / "found.safetensors"
    before = load_found(path, problem.graph)
    if before is not None:
        return *before, []
    resumed, method = any(work.iterdir()), cell.built_method
    assert isinstance(method, CircuitMethod)
    with metering() as cost:
        found = [circuit.on("cpu") for circuit in method.discover(problem, sizes)]
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
    warnings = []
    if accuracy < LEAST_ACCURACY:
        warnings.append(f"{model.name} does this task with an accuracy of {accuracy:.2f} only")
        log.warning(warnings[-1])
    return pd.concat(rows, ignore_index=True), {
        **facts,
        "accuracy": accuracy,
        "warnings": warnings,
    }


def save_found(path: Path, circuits: Sequence[FoundCircuit], cost: Meter) -> None:
    """Write the circuits and what they cost, atomically."""
    facts = {
        "settings": json.dumps([found.setting for found in circuits]),
        "requested": json.dumps([found.requested for found in circuits]),
        "cost": json.dumps(asdict(cost)),
    }
    tensors = {"keep": stack([found.mask for found in circuits])}
    neurons = stacked_neurons(circuits)
    if neurons is not None:
        tensors["neurons"] = neurons
    write_tensors(path, tensors, facts)


def load_found(path: Path, graph: ComputationalGraph) -> tuple[list[FoundCircuit], Meter] | None:
    """What `save_found` wrote, or None if there is no such file, or a damaged one."""
    if not path.exists():
        return None
    try:
        tensors, facts = read_tensors(path)
    except UserError as error:
        log.warning("circuits are sought anew: %s", error)
        return None
    keep = tensors["keep"]
    neurons = tensors.get("neurons", [None] * len(keep))
    settings, requested, cost = (
        json.loads(facts[name]) for name in ("settings", "requested", "cost")
    )
    rows = zip(keep, settings, requested, neurons, strict=True)
    return [FoundCircuit(EdgeMask(graph, m), s, n, kept) for m, s, n, kept in rows], Meter(**cost)

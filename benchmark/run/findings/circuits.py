"""The findings of a cell that finds circuits: the circuits, their curve, and what sums it up.

Discovery sees the train split alone; evaluation fits ablations to the same prompts and measures
on the test split.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.evaluation.circuits import HeldOut, circuit_scores, full_model_scores
from benchmark.evaluation.curve import areas, aurocs, curve_rows, ends, recovery
from benchmark.evaluation.metrics import evaluation_metrics
from benchmark.evaluation.normalised import is_noise
from benchmark.meter import metering
from benchmark.method.circuits import FoundCircuit, stacked_neurons
from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.models.loading import LanguageModel
from benchmark.records.record import DIFFERENCE, FAITHFUL_IN, LEAST_ACCURACY
from benchmark.references.circuits import reference_masks
from benchmark.run.cell import Cell
from benchmark.run.findings.discovery import discovered
from benchmark.run.findings.finite import check_finite
from benchmark.run.prompts import Prompts

log = logging.getLogger("benchmark")


def find_and_measure(cell: Cell, problem: Problem, prompts: Prompts, work: Path) -> Findings:
    """Find circuits and measure them; `work` keeps what a kill would lose.

    Raises:
        UserError: no circuit was found, sizes do not fit the model, or a number is not finite.
    """
    model = problem.model
    sizes = cell.sizes_of(model.graph)
    circuits, discovery = discovered(cell, problem, sizes, work)
    log.info("%d circuits, %.0f s", len(circuits), discovery.seconds)
    with metering() as evaluation:
        curve, facts = _evaluated(cell, model, prompts, circuits, work)
    by_option = cell.evaluation_settings().items()
    settings = {evaluated_as(cell, option): found for option, found in by_option}
    return Findings(
        curve,
        tensors={},
        summary={},
        cost=discovery,
        judging=evaluation,
        warnings=[*facts.pop("warnings"), *circuits.warnings],
        circuits=circuits,
        facts={**facts, "evaluation": settings},
    )


def evaluated_as(cell: Cell, option: str) -> str:
    """What tables call an ablation that circuits are evaluated under."""
    # The recipe for constants is that of all circuits, whatever the method's own is.
    words = cell.called["ablation"].split(" ")
    own = " ".join(word for word in words if word.split("=")[0] not in cell.constants)
    return own if option == cell.names["ablation"] else option


def _evaluated(
    cell: Cell,
    model: LanguageModel,
    prompts: Prompts,
    circuits: Sequence[FoundCircuit],
    work: Path,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The curve, and the fields of the record that sum it up."""
    metrics = evaluation_metrics(cell.metric_name)
    whole_answers = prompts.held_out[0].whole_answers is not None
    held_out = HeldOut([prompts.train], prompts.held_out, metrics, whole_answers)
    full = full_model_scores(model, held_out)
    check_finite(full, "the whole model", model.dtype)
    masks, neurons = [found.mask for found in circuits], stacked_neurons(circuits)
    rows, warnings, facts = [], [], {"ends": {}, "areas": {}, "recovery": {}}
    for option, ablation in cell.evaluation.items():
        name, checkpoint = evaluated_as(cell, option), work / f"constants_{option}.checkpoint"
        scores = circuit_scores(model, masks, ablation, held_out, checkpoint, neurons, full)
        check_finite(scores.circuits, f"circuits under {name} ablation", model.dtype)
        check_finite(scores.empty, f"the empty circuit under {name} ablation", model.dtype)
        rows.append(curve_rows(circuits, name, scores))
        facts["ends"][name] = ends(scores)
        facts["areas"][name] = areas(rows[-1], facts["ends"][name], model.graph.n_edges, scores)
        warnings += _of_noise(name, facts["ends"][name][DIFFERENCE])
        log.info("evaluated under %s", name)
    references = reference_masks(cell.built_task.family, model)
    if references:
        # Where several circuits are published, the first by name is the one that counts.
        truth = references[sorted(references)[0]]
        rows = [pd.concat([part, recovery(circuits, truth)], axis=1) for part in rows]
        facts["recovery"] = aurocs(circuits, truth)
    accuracy = float(full["accuracy"].mean())
    if accuracy < LEAST_ACCURACY:
        warnings.append(f"{model.name} does this task with an accuracy of {accuracy:.2f} only")
    for warning in warnings:
        log.warning(warning)
    return pd.concat(rows, ignore_index=True), {
        **facts,
        "accuracy": accuracy,
        "warnings": warnings,
    }


def _of_noise(ablation: str, difference: dict[str, float]) -> list[str]:
    """A warning where normalised faithfulness means nothing."""
    if not is_noise(difference):
        return []
    value, low, high = (difference[f"{FAITHFUL_IN}{end}"] for end in ("", "_low", "_high"))
    return [
        f"under {ablation} ablation, normalised faithfulness, CPR and CMD mean nothing: the whole "
        f"model's logit difference is above the empty circuit's by {value:.3g} [{low:.3g}, "
        f"{high:.3g}], which may be none"
    ]

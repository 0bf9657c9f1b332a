"""From scores per prompt to the curve of a record: one row per circuit and evaluation ablation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.evaluation.circuits import CircuitScores
from benchmark.evaluation.normalised import (
    area_intervals,
    difference_of_ends,
    faithfulness_columns,
)
from benchmark.graph.mask import EdgeMask
from benchmark.graph.overlap import component_overlap, edge_overlap
from benchmark.method.circuits import FoundCircuit
from benchmark.records.record import DIFFERENCE
from benchmark.statistics.areas import Curve, cpr_and_cmd, log_area, pessimistic_auroc, share_auroc
from benchmark.statistics.bootstrap import interval_of_means
from benchmark.statistics.sizes import averaged_draws, gap_curve, nominal_sizes


def curve_rows(
    circuits: Sequence[FoundCircuit], ablation: str, scores: CircuitScores
) -> pd.DataFrame:
    """The rows of one evaluation ablation.

    Args:
        circuits: what was found.
        ablation: its name.
        scores: what was measured of them.
    """
    mean = {name: values.mean(1).numpy() for name, values in scores.circuits.items()}
    (empty,) = scores.empty["logit_difference"][None].mean(1).numpy()
    whole = float(scores.full["logit_difference"].mean())
    low, high = interval_of_means(scores.circuits["loss_gap"].numpy())
    rows = {
        "circuit": range(len(circuits)),
        "setting": [found.setting for found in circuits],
        "requested_size": pd.array([found.requested_size for found in circuits], dtype="Int64"),
        "size": [found.size for found in circuits],
        "components": [found.mask.n_components for found in circuits],
        "ablation": ablation,
        **mean,
        "loss_gap_low": low,
        "loss_gap_high": high,
        "faithfulness": (mean["logit_difference"] - empty) / ((whole - empty) or np.nan),
        **faithfulness_columns(scores),
    }
    return pd.DataFrame(rows)


def ends(scores: CircuitScores) -> dict[str, dict[str, float]]:
    """The mean metrics of the empty circuit and of the whole model, and how far apart they are."""
    return {
        "empty": {name: float(values.mean()) for name, values in scores.empty.items()},
        "full": {name: float(values.mean()) for name, values in scores.full.items()},
        DIFFERENCE: difference_of_ends(scores),
    }


def areas(
    rows: pd.DataFrame, ends: dict[str, dict[str, float]], n_edges: int, scores: CircuitScores
) -> dict[str, float]:
    """CPR and CMD of the rows of one ablation, with their intervals, and the log area."""
    name, sizes = "logit_difference", nominal_sizes(rows)
    empty, full = ends["empty"][name], ends["full"][name]
    cpr, cmd = cpr_and_cmd(Curve(sizes, rows[name].tolist(), empty, full, n_edges))
    return {
        "cpr": cpr,
        "cmd": cmd,
        **area_intervals(sizes, scores, n_edges),
        "log_area": log_area(gap_curve(averaged_draws(rows), ends, n_edges)),
    }


def recovery(circuits: Sequence[FoundCircuit], reference: EdgeMask) -> pd.DataFrame:
    """How much each circuit shares with a reference, in edges and in components."""
    rows = []
    for found in circuits:
        edges = edge_overlap(found.mask, reference)
        components = component_overlap(found.mask, reference)
        rows.append(
            {
                "edge_precision": edges.precision,
                "edge_recall": edges.recall,
                "edge_false_positive_rate": edges.false_positive_rate,
                "component_precision": components.precision,
                "component_recall": components.recall,
                "component_false_positive_rate": components.false_positive_rate,
            }
        )
    return pd.DataFrame(rows)


def aurocs(circuits: Sequence[FoundCircuit], reference: EdgeMask) -> dict[str, float]:
    """How well the circuits tell a reference's edges and components from all others."""
    exists = reference.graph.exists.numpy()
    masks = [found.mask.keep.cpu().numpy() > 0 for found in circuits]
    truth = reference.keep.numpy() > 0
    members = {
        "edges": (np.stack([mask[exists] for mask in masks]), truth[exists]),
        "components": (np.stack([mask.any(1) for mask in masks]), truth.any(1)),
    }
    found: dict[str, Any] = {}
    for part, (given, wanted) in members.items():
        if wanted.all() or not wanted.any():
            continue
        found[f"auroc_{part}"] = share_auroc(given, wanted)
        found[f"auroc_{part}_pessimistic"] = pessimistic_auroc(given, wanted)
    return found

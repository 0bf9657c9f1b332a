"""Faithfulness of circuits between two ends, the empty circuit and the whole model, with intervals.

All is of the logit difference. Intervals are over resampled prompts, the ends resampled with the
circuits; where the ends are no further apart than their noise, what is divided by their distance
means nothing (Wu et al. 2025, arXiv 2509.24808), and `is_noise` says so.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmark.evaluation.circuits import CircuitScores
from benchmark.records.record import FAITHFUL_IN
from benchmark.statistics.areas import cpr_and_cmd_of_draws, ndf, normalised
from benchmark.statistics.bootstrap import INTERVAL, interval_of_means, resampled_means


def faithfulness_columns(scores: CircuitScores) -> dict[str, Any]:
    """The interval of each circuit's normalised faithfulness, and its NDF with its interval."""
    circuits, empty, full = _drawn(scores)
    deviation = ndf(*(_numbers(part[FAITHFUL_IN]) for part in _parts(scores)))
    return {
        **_ends("faithfulness", _interval(normalised(circuits, empty[0], full[0]))),
        "ndf": deviation.mean(1),
        **_ends("ndf", interval_of_means(deviation)),
    }


def area_intervals(
    sizes: Sequence[float | int], scores: CircuitScores, n_edges: int
) -> dict[str, float]:
    """The ends of the intervals of CPR and CMD of circuits of these sizes."""
    circuits, empty, full = _drawn(scores)
    areas = cpr_and_cmd_of_draws(sizes, circuits, empty[0], full[0], n_edges)
    found: dict[str, float] = {}
    for name, draws in zip(("cpr", "cmd"), areas, strict=True):
        low, high = _interval(draws[None])
        found |= _ends(name, (float(low[0]), float(high[0])))
    return found


def difference_of_ends(scores: CircuitScores) -> dict[str, float]:
    """The whole model's mean less the empty circuit's, with its interval."""
    apart = (scores.full[FAITHFUL_IN] - scores.empty[FAITHFUL_IN]).double().numpy()[None]
    low, high = interval_of_means(apart)
    return {FAITHFUL_IN: float(apart.mean()), **_ends(FAITHFUL_IN, (float(low[0]), float(high[0])))}


def is_noise(difference: dict[str, float]) -> bool:
    """Whether a difference of ends may be none, so that nothing may be divided by it."""
    return difference[f"{FAITHFUL_IN}_low"] <= 0 <= difference[f"{FAITHFUL_IN}_high"]


def _parts(scores: CircuitScores) -> tuple[Any, Any, Any]:
    return scores.circuits, scores.empty, scores.full


def _numbers(metric: Any) -> Float[np.ndarray, "*rows prompts"]:  # noqa: ANN401 - a tensor
    return metric.double().numpy()


def _drawn(scores: CircuitScores) -> list[Float[np.ndarray, "rows draws"]]:
    """Means over resampled prompts, the same ones for all: of circuits, empty, and full."""
    return [resampled_means(np.atleast_2d(_numbers(part[FAITHFUL_IN]))) for part in _parts(scores)]


def _interval(
    draws: Float[np.ndarray, "rows draws"],
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    low, high = np.percentile(draws, INTERVAL, axis=1)
    return low, high


def _ends(name: str, interval: tuple[Any, Any]) -> dict[str, Any]:
    return dict(zip((f"{name}_low", f"{name}_high"), interval, strict=True))

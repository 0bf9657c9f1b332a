"""What single components are measured by where claims are tested, over heads and MLPs.

Each ablation is compared with others on the same prompts (Li & Janson 2024, arXiv 2409.09951,
section 2), so its record is joined with those of its task, model and seed; intervals are from
resampled prompts.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from benchmark.errors import UserError
from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.report.measured import UNKNOWN, Measured, Quantity
from benchmark.statistics.bootstrap import interval_of_means, resampled_means
from methods.importance.report.components.joined import Joined, joined
from methods.importance.report.components.statistics import (
    COUNTERFACTUAL,
    SMALLEST_COMPONENT_GAP,
    bounds,
    rank_correlation,
    ratios,
)

QUANTITIES = {
    "rank_correlation": Quantity("rank correlation with the counterfactual", -1.0, 1.0),
    "median_ratio": Quantity("median share of the gap left under optimal constants", 0.0, 1.0),
    "mean_ratio": Quantity("mean share of the gap left under optimal constants", 0.0, 1.0),
    "bound_violations": Quantity("share of components that lose more under optimal", 0.0, 1.0),
}
# Of gaps [*draws, components] under the other ablation and under this one: a number a draw.
Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """A quantity of each ablation.

    Raises:
        UserError: the ablation that it is compared with is missing, or was run differently.
    """
    return {record.key: _of_one(results, record, quantity) for record in records}


def _of_one(results: Results, record: Record, quantity: str) -> Measured:
    found, own = _beside(results, record), results.labels[record.key]["ablation"]
    if quantity == "bound_violations":
        return _violations(found, own)
    if quantity == "rank_correlation":
        return _compared(found, COUNTERFACTUAL, own, rank_correlation)
    middle = np.median if quantity == "median_ratio" else np.mean

    def left(best: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        return middle(ratios(best, gaps, clamped=True), axis=-1)

    return _compared(found, found.optimal, own, left)


def _beside(results: Results, record: Record) -> Joined:
    """The record with those of its task, model and seed under other ablations."""
    place = _place(results, record)
    alike = {twin.key: twin for twin in results.done if _place(results, twin) == place}
    (found,) = joined(replace(results, records=alike))
    return found


def _place(results: Results, record: Record) -> tuple[str, str, int]:
    label = results.labels[record.key]
    return label["task"], label["model"], record.config["seed"]


def _compared(found: Joined, other: str | None, own: str, compare: Compare) -> Measured:
    """Two ablations compared, on the prompts and on resampled ones."""
    if other not in found.gaps:
        needed = other or "optimal or optimal_positional"
        raise UserError(f"ablation={needed} of {found.task} on {found.model} is missing")
    nodes = found.are_nodes
    theirs, ours = found.gaps[other][nodes], found.gaps[own][nodes]
    value = compare(theirs.mean(1, dtype=np.float64), ours.mean(1, dtype=np.float64))
    draws = compare(resampled_means(theirs).T, resampled_means(ours).T)
    return Measured.resampled(float(value), draws)


def _violations(found: Joined, own: str) -> Measured:
    """How many components lose more under the constants that bound this ablation."""
    optimal = next((best for best, other in bounds(found) if other == own), None)
    if optimal is None:
        return Measured(UNKNOWN)
    excess: Float[np.ndarray, "components prompts"] = found.gaps[optimal] - found.gaps[own]
    low, _ = interval_of_means(excess)
    return Measured.exact(float((low > SMALLEST_COMPONENT_GAP).mean()))

"""One number for a whole curve of circuits: CPR, CMD and NDF, the area on log axes, and AUROC.

Sizes are edges. A method need not have a circuit of every size; at a given size it is judged by
its largest circuit that is no larger, and by the empty circuit if it has none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

# The sizes of the MIB circuit track, as shares of the edges (Mueller et al. 2025, 2504.13151).
MIB_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# The log area runs over this range of shares; gaps below the floor (nats) count as the floor.
LOG_AREA_SHARES, FLOOR = (0.01, 0.5), 1e-4
POINTS_PER_FACTOR_TEN = 100

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The value of every circuit, with those of the empty and of the full one.

    Attributes:
        sizes: edges of each circuit, as asked for where the method was asked, or their mean.
        values: a value of each.
        empty: the value without edges.
        full: the value of the whole model.
        n_edges: edges of the graph.
    """

    sizes: Sequence[float | int]
    values: Sequence[float]
    empty: float
    full: float
    n_edges: int

    def at(self, size: float | int) -> float:
        """The value of the largest circuit of at most `size` edges; of several, their mean."""
        if size >= self.n_edges:
            return self.full
        chosen = largest_within(self.sizes, size)
        return float(np.mean([self.values[place] for place in chosen])) if chosen else self.empty

    def by_size(self) -> tuple[list[float | int], list[float]]:
        """Every size that was measured, and that of the empty circuit, with the value `at` it."""
        at: dict[float | int, list[float]] = {0: []}
        for size, value in zip(self.sizes, self.values, strict=True):
            at.setdefault(size, []).append(value)
        sizes = sorted(at)
        return sizes, [
            self.full if size >= self.n_edges else _mean(at[size] or [self.empty]) for size in sizes
        ]

    def is_measured(self, most: float | int) -> bool:
        """Whether it has a circuit, neither empty nor the whole model, of at most `most` edges."""
        return any(0 < size <= most and size < self.n_edges for size in self.sizes)


def _mean(values: list[float]) -> float:
    # NumPy takes microseconds for a mean of one, and there are many.
    return values[0] if len(values) == 1 else float(np.mean(values))


def largest_within(sizes: Sequence[float | int], most: float | int) -> list[int]:
    """The places of the largest circuits of at most `most` edges; none if there is none."""
    largest = max((size for size in sizes if size <= most), default=None)
    return [place for place, size in enumerate(sizes) if size == largest]


def cpr_and_cmd(metric: Curve) -> tuple[float, float]:
    """Circuit performance ratio (higher is better) and circuit-model distance (lower is better).

    With f(k) = (m(circuit of k edges) - m(empty)) / (m(full) - m(empty)), the trapezoid areas
    under f and under |1 - f| over the shares of `MIB_SHARES` (Mueller et al. 2025, section 3).
    Not a number if the metric of the empty circuit equals the full model's, or if no circuit
    between the two was measured.
    """
    values = np.array(metric.values, dtype=float)[:, None]
    empty, full = (np.array([end], dtype=float) for end in (metric.empty, metric.full))
    cpr, cmd = cpr_and_cmd_of_draws(metric.sizes, values, empty, full, metric.n_edges)
    return float(cpr[0]), float(cmd[0])


def cpr_and_cmd_of_draws(
    sizes: Sequence[float | int],
    values: Float[np.ndarray, "circuits draws"],
    empty: Float[np.ndarray, " draws"],
    full: Float[np.ndarray, " draws"],
    n_edges: int,
) -> tuple[Float[np.ndarray, " draws"], Float[np.ndarray, " draws"]]:
    """The same of each draw of prompts, on which circuits of these sizes have these values."""
    if not any(0 < size < n_edges for size in sizes):
        return np.full_like(full, np.nan), np.full_like(full, np.nan)

    def at(size: int) -> Float[np.ndarray, " draws"]:
        if size >= n_edges:
            return full
        chosen = largest_within(sizes, size)
        return values[chosen].mean(0) if chosen else empty

    metric = np.stack([at(int(share * n_edges)) for share in MIB_SHARES])
    f = normalised(metric, empty, full)
    cpr, cmd = (np.trapezoid(y, MIB_SHARES, axis=0) for y in (f, np.abs(1 - f)))
    return cpr, cmd


def normalised(
    metric: Float[np.ndarray, "*rows draws"],
    empty: Float[np.ndarray, " draws"],
    full: Float[np.ndarray, " draws"],
) -> Float[np.ndarray, "*rows draws"]:
    """(m - m(empty)) / (m(full) - m(empty)); not a number where both ends are equal."""
    whole = full - empty
    return (metric - empty) / np.where(whole == 0, np.nan, whole)


def ndf(
    metric: Float[np.ndarray, "circuits prompts"],
    empty: Float[np.ndarray, " prompts"],
    full: Float[np.ndarray, " prompts"],
) -> Float[np.ndarray, "circuits prompts"]:
    """Normalised deviation faithfulness: 1 - min(|m(full) - m| / |m(full) - m(empty)|, 1).

    From 0 to 1 for every prompt, however close its ends are; where both are equal it is 1 for a
    circuit that equals them, too, and 0 for others (Wu et al. 2025, arXiv 2509.24808; the empty
    circuit stands for the model on the corrupted prompt, which it is under counterfactual
    ablation).
    """
    missed, whole = np.abs(full - metric), np.abs(full - empty)
    share = missed / np.where(whole == 0, np.inf, whole)
    return 1 - np.minimum(np.where((whole == 0) & (missed > 0), 1.0, share), 1.0)


def ndf_area(curve: Curve) -> float:
    """The trapezoid area under the mean NDF over the shares of `MIB_SHARES`, as CPR is of f.

    Higher is better, 0.999 the best. Not a number if no circuit was measured.
    """
    if not curve.is_measured(curve.n_edges):
        return float("nan")
    values = [curve.at(int(share * curve.n_edges)) for share in MIB_SHARES]
    return float(np.trapezoid(values, MIB_SHARES))


def log_area(loss_gap: Curve) -> float:
    """The mean of log10 of the smallest loss gap so far, over log sizes from 1 % to 50 % of edges.

    Lower is better; one less is a tenfold smaller gap at every size. The smallest gap of the
    circuits of at most that size counts (the cumulative minimum of Li & Janson 2024, figure 3).
    Not a number if no circuit of at most 50 % was measured.
    """
    low, high = (share * loss_gap.n_edges for share in LOG_AREA_SHARES)
    if not loss_gap.is_measured(high):
        return float("nan")
    known, values = loss_gap.by_size()
    smallest = np.minimum.accumulate(values)
    gaps = smallest[np.searchsorted(known, _log_points(low, high), side="right") - 1]
    return float(np.log10(np.maximum(gaps, FLOOR)).mean())


@lru_cache
def _log_points(low: float, high: float) -> Numbers:
    n_points = 1 + round(POINTS_PER_FACTOR_TEN * np.log10(high / low))
    return np.geomspace(low, high, n_points)


def pessimistic_auroc(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """The area under the worst staircase through the circuits' rates (Conmy et al. 2023).

    Dominated circuits are dropped. Between two points the true-positive rate is taken to rise
    only at the end.

    Args:
        found: for each circuit and each possible member, whether it has it.
        truth: which members the reference has.
    """
    corners = pessimistic_corners(found[:, ~truth].mean(1), found[:, truth].mean(1))
    return float(sum((1 - x) * (y - below) for (_, below), (x, y) in pairwise(corners)))


def pessimistic_corners(
    false_rate: Iterable[float], true_rate: Iterable[float]
) -> list[tuple[float, float]]:
    """Where that staircase rises, and to what: from (0, 0), and to 1 at the latest at 1."""
    corners = [(0.0, 0.0)]
    for point in sorted({(1.0, 1.0), *zip(false_rate, true_rate, strict=True)}):
        if point[1] > corners[-1][1]:
            corners.append(point)
    return corners


def share_auroc(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Scikit-learn's AUROC of the share of circuits that a member is in."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, found.mean(0)))

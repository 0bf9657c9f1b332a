"""What tells ablations apart: correlations, ratios to the optimal one, and its bound.

Li & Janson 2024 (arXiv 2409.09951), section 2 and tables 1 to 3. Statistics are over heads and
MLPs, as theirs; the bound is checked for the input too.
"""

import warnings

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import ConstantInputWarning, pearsonr, rankdata

from benchmark.report.layout.tables import DASH
from benchmark.statistics.bootstrap import interval_of_means
from methods.importance.report.components.joined import Joined, bounds_others

COUNTERFACTUAL = "counterfactual"
# A smaller gap, in nats, is rounding: it counts as this in ratios and logarithms.
SMALLEST_COMPONENT_GAP = 1e-6
# Percentiles of a log gap outside of which a component takes no part in a correlation of logs.
TAILS = (2, 98)
N_TOP = 10

Gaps = Float[np.ndarray, " components"]


def rank_correlation(
    one: Float[np.ndarray, "*draws components"], other: Float[np.ndarray, "*draws components"]
) -> Float[np.ndarray, "*draws"]:
    """Spearman's; not a number if all gaps of either are equal, or there is one component."""
    if one.shape[-1] == 1:
        return np.full(one.shape[:-1], np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return np.asarray(pearsonr(ranks(one), ranks(other), axis=-1).statistic)


def log_correlation(one: Gaps, other: Gaps) -> float:
    """Pearson's correlation of the logarithms, of components outside neither's 2 % tails.

    The paper says that tails are cut and not how; here a component must lie within both.
    """
    x, y = logarithms(one), logarithms(other)
    kept = _within_tails(x) & _within_tails(y)
    return float(pearsonr(x[kept], y[kept]).statistic) if _vary(x[kept], y[kept]) else float("nan")


def ranks(
    gaps: Float[np.ndarray, "*draws components"],
) -> Float[np.ndarray, "*draws components"]:
    """The rank of each gap, 1 for the smallest; equal ones share their mean rank."""
    return rankdata(gaps, axis=-1)


def logarithms(gaps: Gaps) -> Gaps:
    """The log10 of gaps in nats."""
    return np.log10(np.maximum(gaps, SMALLEST_COMPONENT_GAP))


def ratios(
    optimal: Float[np.ndarray, "*draws components"],
    gaps: Float[np.ndarray, "*draws components"],
    *,
    clamped: bool,
) -> Float[np.ndarray, "*draws components"]:
    """The share of each gap that is left under the optimal ablation.

    Args:
        optimal: gaps under it.
        gaps: gaps under another.
        clamped: ratios above 1 count as 1, as in the authors' script.
    """
    found = np.maximum(optimal, SMALLEST_COMPONENT_GAP) / np.maximum(gaps, SMALLEST_COMPONENT_GAP)
    return np.minimum(found, 1) if clamped else found


def summary_table(found: Joined) -> pd.DataFrame:
    """A row for each ablation: correlations with the counterfactual, ratios, mean and median."""
    means, optimal = found.means_of_nodes, found.optimal
    rows = {}
    for name, gaps in means.items():
        own = gaps.to_numpy()
        row = dict.fromkeys(("rank correlation", "log correlation"), float("nan"))
        if COUNTERFACTUAL in means:
            reference = means[COUNTERFACTUAL].to_numpy()
            row = {
                "rank correlation": float(rank_correlation(own, reference)),
                "log correlation": log_correlation(own, reference),
            }
        share = np.array([np.nan])
        if optimal is not None:
            best = means[optimal].to_numpy()
            share = 100 * ratios(best, own, clamped=name != COUNTERFACTUAL)
        rows[name] = {
            **{column: _shown(value, ".3f") for column, value in row.items()},
            "median ratio": _shown(np.median(share), ".1f", " %"),
            "mean ratio": _shown(share.mean(), ".1f", " %"),
            "mean gap": _mean_with_interval(found, str(name)),
            "median gap": f"{np.median(own):.5f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("ablation")


def top_table(found: Joined) -> pd.DataFrame:
    """The components with the largest gaps under each ablation, with their gaps in nats."""
    # Names in several words, so that the terminal can break them.
    columns = {
        str(name).replace("_", " "): [
            f"{component} {gap:.3f}" for component, gap in gaps.nlargest(N_TOP).items()
        ]
        for name, gaps in found.means.items()
    }
    n_rows = min(N_TOP, len(found.means))
    return pd.DataFrame(columns, index=pd.RangeIndex(1, n_rows + 1, name="rank"))


def bounds(found: Joined) -> list[tuple[str, str]]:
    """Pairs of an optimal ablation and one that cannot lose less, in theory.

    Any ablation whose values do not depend on the prompt is a mixture of constants, so the best
    constants lose no more (section 1). Those that are the same at every position bound zero and
    the mean over positions; a resampled prompt differs by position, whatever their order.
    """
    return [
        (optimal, other)
        for optimal, best in found.traits.items()
        for other, traits in found.traits.items()
        if bounds_others(best) and _is_bounded(traits, best)
    ]


def bound_table(found: Joined) -> pd.DataFrame:
    """Whether optimal ablation loses no more than what it bounds, component by component.

    A violation is a component whose gap is larger under optimal ablation by more than the 95 %
    bootstrap interval of their difference, prompt by prompt. Trained constants may miss the
    optimum, and that of the training prompts is not quite that of the test prompts; with prompts
    of several lengths, resampled values depend on the length of their own prompt, and no theorem
    forbids a small excess.
    """
    rows = []
    names = found.components["component"].to_numpy()
    for optimal, other in bounds(found):
        excess = found.gaps[optimal].astype(np.float64) - found.gaps[other]
        low, high = interval_of_means(excess)
        mean = excess.mean(1)
        # The one that is above by most, beyond the width of its interval.
        worst = int(low.argmax())
        rows.append(
            {
                "ablation": other,
                "bounded by": optimal,
                "violations": f"{int((low > SMALLEST_COMPONENT_GAP).sum())} of {len(names)}",
                "worst excess": f"{mean[worst]:.5f} [{low[worst]:.5f}, {high[worst]:.5f}]",
                "of component": names[worst],
            }
        )
    columns = ["ablation", "bounded by", "violations", "worst excess", "of component"]
    return pd.DataFrame(rows, columns=columns).set_index("ablation")


def _is_bounded(traits: dict[str, bool], best: dict[str, bool]) -> bool:
    """Whether the ablation is a mixture of the constants that the best one chooses from.

    Those that differ by position have those that do not among them. Best constants of one kind,
    trained twice, are as good as each other.
    """
    own, chosen = traits["by_position"], best["by_position"]
    return traits["total"] and (own < chosen if traits["trained"] else own <= chosen)


def _mean_with_interval(found: Joined, name: str) -> str:
    each = found.gaps[name][found.are_nodes].mean(0, dtype=np.float64)[None]
    (low,), (high,) = interval_of_means(each)
    return f"{each.mean():.4f} [{low:.4f}, {high:.4f}]"


def _within_tails(x: Gaps) -> np.ndarray:
    low, high = np.percentile(x, TAILS)
    return (low <= x) & (x <= high)


def _vary(*gaps: Gaps) -> bool:
    return all(len(each) > 1 and np.ptp(each) > 0 for each in gaps)


def _shown(value: float, form: str, unit: str = "") -> str:
    return DASH if np.isnan(value) else f"{value:{form}}{unit}"

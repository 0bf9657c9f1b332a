"""One row per record, evaluation ablation and score: what a leaderboard compares.

A score comes with an interval where one is known: for the log area, the areas under the lower and
the upper ends of the curve's bootstrap intervals.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.areas import log_area
from benchmark.errors import UserError, near
from benchmark.record import Record
from benchmark.report.frame import Results
from benchmark.sizes import averaged_draws, gap_curve

# Scores, what they are called in tables, and whether lower is better.
SCORES: dict[str, tuple[str, bool]] = {
    "log_area": ("mean log10 loss gap", True),
    "cpr": ("CPR", False),
    "cmd": ("CMD", True),
    "auroc_edges": ("AUROC (edges)", False),
    "auroc_nodes": ("AUROC (nodes)", False),
    "auroc_edges_pessimistic": ("AUROC (edges, pessimistic)", False),
    "auroc_nodes_pessimistic": ("AUROC (nodes, pessimistic)", False),
    "loss_gap": ("loss gap (nats)", True),
    "z": ("z against random circuits", True),
}
FEWEST_DRAWS = 5
# What a score needs that not every record has.
NEEDS = dict.fromkeys(SCORES, "run something that has it") | {
    **dict.fromkeys((name for name in SCORES if name.startswith("auroc")), "no reference circuit"),
    "z": f"run method=random too, with method.circuits_per_size={FEWEST_DRAWS} or more",
    "loss_gap": "no circuit is as small as at_share says",
}


@dataclass(frozen=True)
class Score:
    """Which score, and at which size where it needs one.

    Attributes:
        name: one of `SCORES`.
        at_share: for `loss_gap` and `z`, the largest size, as a share of all edges.
    """

    name: str
    at_share: float

    def __post_init__(self) -> None:
        """Check the name and the share."""
        if self.name not in SCORES:
            allowed = ", ".join(SCORES)
            raise UserError(f"score={self.name} is not one of {allowed}{near(self.name, SCORES)}")
        if not 0 < self.at_share <= 1:
            raise UserError(f"at_share={self.at_share} is not a share; give a number in (0, 1]")

    @property
    def title(self) -> str:
        """As tables head it."""
        title = SCORES[self.name][0]
        return (
            f"{title} at {self.at_share:.0%} of edges" if self.name in ("loss_gap", "z") else title
        )

    @property
    def lower_is_better(self) -> bool:
        """Which way is better."""
        return SCORES[self.name][1]


def score_table(results: Results, score: Score) -> pd.DataFrame:
    """The score of every done record under every evaluation ablation that it has."""
    rows = []
    for record in results.done:
        for evaluation in record.areas:
            of_cell = results.curves["key"] == record.key
            curve = results.curves[of_cell & (results.curves["evaluation"] == evaluation)]
            value, low, high = _value(results, record, evaluation, curve, score)
            cost = record.cost["discovery"]
            rows.append(
                {
                    **results.labels[record.key],
                    "evaluation": evaluation,
                    "seed": record.config["seed"],
                    "key": record.key,
                    "value": value,
                    "low": low,
                    "high": high,
                    "passes": cost["forward"] + cost["backward"],
                    "seconds": cost["seconds"],
                }
            )
    return pd.DataFrame(rows)


def _value(
    results: Results, record: Record, evaluation: str, curve: pd.DataFrame, score: Score
) -> tuple[float, float, float]:
    nothing = float("nan")
    if score.name == "log_area":
        ends = record.ends[evaluation]
        columns = ("loss_gap", "loss_gap_low", "loss_gap_high")
        areas = [log_area(gap_curve(curve, ends, record.n_edges, column)) for column in columns]
        return areas[0], areas[1], areas[2]
    if score.name == "loss_gap":
        best = _best(curve, score.at_share * record.n_edges)
        if best is None:
            return nothing, nothing, nothing
        return best["loss_gap"], best["loss_gap_low"], best["loss_gap_high"]
    if score.name == "z":
        return _z(results, record, evaluation, curve, score), nothing, nothing
    if score.name.startswith("auroc"):
        return record.recovery.get(score.name, nothing), nothing, nothing
    return record.areas[evaluation][score.name], nothing, nothing


def _best(curve: pd.DataFrame, most_edges: float) -> pd.Series | None:
    circuits = averaged_draws(curve)
    fitting = circuits[(circuits["edges"] <= most_edges) & (circuits["edges"] > 0)]
    return None if fitting.empty else fitting.loc[fitting["loss_gap"].idxmin()]


def _z(
    results: Results, record: Record, evaluation: str, curve: pd.DataFrame, score: Score
) -> float:
    """How many standard deviations below random circuits of that size (Li & Janson 2024, app. F).

    The random circuits are those of one record on the same prompts, drawn for the largest size
    asked for that is within the share.
    """
    drawn = _random_curve(results, record, evaluation)
    if drawn is not None:
        drawn = drawn[drawn["requested_edges"] <= score.at_share * record.n_edges]
    if drawn is None or drawn.empty:
        return float("nan")
    size = drawn["requested_edges"].max()
    gaps = drawn[drawn["requested_edges"] == size]["loss_gap"]
    best = _best(curve, float(size))
    if best is None or len(gaps) < FEWEST_DRAWS or not np.std(gaps):
        return float("nan")
    return float((best["loss_gap"] - gaps.mean()) / gaps.std())


def _random_curve(results: Results, record: Record, evaluation: str) -> pd.DataFrame | None:
    """The random circuits on the same prompts, if possible those of the same ablation."""
    twins = [
        other
        for other in results.done
        if other.names["method"] == "random"
        and other.data == record.data
        and other.model["files"] == record.model["files"]
        and evaluation in other.areas
    ]
    twins.sort(key=lambda other: other.names["ablation"] != record.names["ablation"])
    if not twins:
        return None
    curves = results.curves
    return curves[(curves["key"] == twins[0].key) & (curves["evaluation"] == evaluation)]

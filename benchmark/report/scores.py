"""One row per record, evaluation ablation and score: what a leaderboard compares.

A score comes with an interval where one is known: for the log area, the areas under the lower and
the upper ends of the curve's bootstrap intervals.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.areas import Curve, log_area
from benchmark.errors import UserError, near
from benchmark.record import Record
from benchmark.report.frame import Results

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
                    "method": results.labels[record.key],
                    **{kind: record.names[kind] for kind in ("task", "model", "ablation")},
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
        areas = [
            log_area(_gap_curve(record, evaluation, curve, column))
            for column in ("loss_gap", "loss_gap_low", "loss_gap_high")
        ]
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


def _gap_curve(record: Record, evaluation: str, curve: pd.DataFrame, column: str) -> Curve:
    empty = record.ends[evaluation]["empty"]["loss_gap"]
    return Curve(curve["edges"].tolist(), curve[column].tolist(), empty, 0.0, record.n_edges)


def _best(curve: pd.DataFrame, most_edges: float) -> pd.Series | None:
    fitting = curve[(curve["edges"] <= most_edges) & (curve["edges"] > 0)]
    return None if fitting.empty else fitting.loc[fitting["loss_gap"].idxmin()]


def _z(
    results: Results, record: Record, evaluation: str, curve: pd.DataFrame, score: Score
) -> float:
    """How many standard deviations below random circuits of that size (Li & Janson 2024, app. F).

    The random circuits are those drawn for the largest size asked for that is within the share.
    """
    curves = results.curves
    same = (curves["evaluation"] == evaluation) & curves["method"].str.startswith("random")
    for kind in ("task", "model"):
        same &= curves[kind] == record.names[kind]
    drawn = curves[same & (curves["requested_edges"] <= score.at_share * record.n_edges)]
    if drawn.empty:
        return float("nan")
    size = drawn["requested_edges"].max()
    gaps = drawn[drawn["requested_edges"] == size]["loss_gap"]
    best = _best(curve, float(size))
    if best is None or len(gaps) < FEWEST_DRAWS or not np.std(gaps):
        return float("nan")
    return float((best["loss_gap"] - gaps.mean()) / gaps.std())

"""One row per record, evaluation ablation and score: what a leaderboard compares.

A score comes with an interval where one is known: for the log area, the areas under the lower and
the upper ends of the curve's bootstrap intervals.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.errors import UserError, near
from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.statistics.areas import Curve, log_area
from benchmark.statistics.sizes import averaged_draws, gap_curve, nominal_sizes

# Scores, what they are called in tables, and whether lower is better.
SCORES: dict[str, tuple[str, bool]] = {
    "log_area": ("mean log10 loss gap", True),
    "cpr": ("CPR", False),
    "cmd": ("CMD", True),
    "auroc_edges": ("AUROC (edges)", False),
    "auroc_nodes": ("AUROC (nodes)", False),
    "auroc_edges_pessimistic": ("AUROC (edges, pessimistic)", False),
    "auroc_nodes_pessimistic": ("AUROC (nodes, pessimistic)", False),
    "auroc": ("AUROC", False),
    "auroc_pessimistic": ("AUROC (pessimistic)", False),
    "faithfulness": ("faithfulness", False),
    "loss_gap": ("loss gap (nats)", True),
    "z": ("z against random circuits", True),
}
AT_SHARE = ("faithfulness", "loss_gap", "z")
# Scores of two columns: how well a circuit's edges, and its nodes, are told from all others.
PARTS = {
    f"auroc{ending}": {kind: f"auroc_{kind}{ending}" for kind in ("edges", "nodes")}
    for ending in ("", "_pessimistic")
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
        at_share: for those of `AT_SHARE`, the largest size, as a share of all edges.
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
        return f"{title} at {100 * self.at_share:g} % of edges" if self.name in AT_SHARE else title

    @property
    def lower_is_better(self) -> bool:
        """Which way is better."""
        return SCORES[self.name][1]

    @property
    def parts(self) -> dict[str, str]:
        """The scores that it shows side by side, by what tells them apart."""
        return PARTS.get(self.name, {"": self.name})

    @property
    def of_recovery(self) -> bool:
        """Whether it compares circuits with a reference, whatever they are evaluated under."""
        return self.name.startswith("auroc")


def score_table(results: Results, score: Score) -> pd.DataFrame:
    """The score of every done record, a row for each evaluation ablation that it has.

    Of a score of recovery there is one row for each part; its evaluation ablation is that of the
    search.
    """
    rows = []
    for record in results.done:
        own = [record.names["ablation"]]
        for evaluation in own if score.of_recovery else record.areas:
            curve = results.curve(record.key, evaluation)
            cost = record.cost["discovery"]
            for part, name in score.parts.items():
                value, low, high = _value(results, record, evaluation, curve, name, score.at_share)
                rows.append(
                    {
                        **results.labels[record.key],
                        "evaluation": evaluation,
                        "part": part,
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


def where_known(scores: pd.DataFrame, score: Score) -> pd.DataFrame:
    """The scores, without tasks that no reference circuit is known for if the score needs one."""
    if not score.of_recovery:
        return scores
    return scores[scores.groupby(["task", "model", "part"])["value"].transform("count") > 0]


def _value(
    results: Results,
    record: Record,
    evaluation: str,
    curve: pd.DataFrame,
    name: str,
    at_share: float,
) -> tuple[float, float, float]:
    nothing = float("nan")
    if name == "log_area":
        ends = record.ends[evaluation]
        columns = ("loss_gap", "loss_gap_low", "loss_gap_high")
        areas = [log_area(gap_curve(curve, ends, record.n_edges, column)) for column in columns]
        return areas[0], areas[1], areas[2]
    if name == "loss_gap":
        best = _best(curve, at_share * record.n_edges)
        if best is None:
            return nothing, nothing, nothing
        return best["loss_gap"], best["loss_gap_low"], best["loss_gap_high"]
    if name == "faithfulness":
        faithfulness = curve["faithfulness"].tolist()
        found = Curve(nominal_sizes(curve), faithfulness, 0.0, 1.0, record.n_edges)
        most = at_share * record.n_edges
        return (found.at(most) if found.is_measured(most) else nothing), nothing, nothing
    if name == "z":
        return _z(results, record, evaluation, curve, at_share), nothing, nothing
    if name.startswith("auroc"):
        return record.recovery.get(name, nothing), nothing, nothing
    return record.areas[evaluation][name], nothing, nothing


def _best(curve: pd.DataFrame, most_edges: float) -> pd.Series | None:
    circuits = averaged_draws(curve)
    fitting = circuits[(circuits["edges"] <= most_edges) & (circuits["edges"] > 0)]
    return None if fitting.empty else fitting.loc[fitting["loss_gap"].idxmin()]


def _z(
    results: Results, record: Record, evaluation: str, curve: pd.DataFrame, at_share: float
) -> float:
    """How many standard deviations below random circuits of that size (Li & Janson 2024, app. F).

    The random circuits are those of one record on the same prompts, drawn for the largest size
    asked for that is within the share.
    """
    drawn = _random_curve(results, record, evaluation)
    if drawn is not None:
        drawn = drawn[drawn["requested_edges"] <= at_share * record.n_edges]
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
    return results.curve(twins[0].key, evaluation) if twins else None

"""One row per record, evaluation ablation and score: what a leaderboard compares.

A score comes with an interval where one is known: for the log area, the areas under the lower and
the upper ends of the curve's bootstrap intervals.
"""

from dataclasses import dataclass

import pandas as pd

from benchmark.errors import UserError, near
from benchmark.report.circuits.cell_scores import FEWEST_RANDOM_CIRCUITS, CellScores
from benchmark.report.frame import Results

# Scores, what they are called in tables, and whether lower is better.
SCORES: dict[str, tuple[str, bool]] = {
    "log_area": ("mean log10 loss gap", True),
    "cpr": ("CPR", False),
    "cmd": ("CMD", True),
    "auroc_edges": ("AUROC (edges)", False),
    "auroc_components": ("AUROC (components)", False),
    "auroc_edges_pessimistic": ("AUROC (edges, pessimistic)", False),
    "auroc_components_pessimistic": ("AUROC (components, pessimistic)", False),
    "auroc": ("AUROC", False),
    "auroc_pessimistic": ("AUROC (pessimistic)", False),
    "faithfulness": ("faithfulness", False),
    "loss_gap": ("loss gap (nats)", True),
    "z": ("z against random circuits", True),
}
AT_SHARE = ("faithfulness", "loss_gap", "z")
# Scores of two columns: how well a circuit's edges, and its components, are told from all others.
PARTS = {
    f"auroc{ending}": {members: f"auroc_{members}{ending}" for members in ("edges", "components")}
    for ending in ("", "_pessimistic")
}
# What a score needs that not every record has.
NEEDS = dict.fromkeys(SCORES, "run something that has it") | {
    **dict.fromkeys((name for name in SCORES if name.startswith("auroc")), "no reference circuit"),
    "z": f"run method=random too, with method.circuits_per_size={FEWEST_RANDOM_CIRCUITS} or more",
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
    rows, cells = [], CellScores(results)
    for record in results.done:
        own = [record.names["ablation"]]
        for evaluation in own if score.of_recovery else record.areas:
            cost = record.cost["method"]
            for part, name in score.parts.items():
                value, low, high = cells.value(record, evaluation, name, score.at_share)
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

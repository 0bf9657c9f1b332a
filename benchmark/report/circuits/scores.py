"""One row per record, evaluation ablation and score: what a leaderboard compares.

A score comes with an interval where one is known: for the log area, the areas under the lower and
the upper ends of the curve's bootstrap intervals.
"""

import pandas as pd

from benchmark.report.circuits.cell_scores import CellScores
from benchmark.report.frame import Results
from benchmark.report.repeated import circuits_of
from benchmark.report.score import Score


def score_table(results: Results, score: Score) -> pd.DataFrame:
    """The score of every done record, a row for each evaluation ablation that it has.

    Of a score of circuits alone there is one row for each part; its evaluation ablation is that of
    the search.
    """
    rows, cells = [], CellScores(results)
    records = results.done
    if score.of_circuits:
        # Of records that differ in how the same circuits were evaluated, one.
        records = list({circuits_of(one, results.labels): one for one in records}.values())
    for record in records:
        own = [results.labels[record.key]["ablation"]]
        for evaluation in own if score.of_circuits else record.areas:
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
                        "ended": record.created,
                        "value": value,
                        "low": low,
                        "high": high,
                        "passes": cost["forward"] + cost["backward"],
                        "seconds": cost["seconds"],
                    }
                )
    return pd.DataFrame(rows)


def where_known(scores: pd.DataFrame, score: Score) -> pd.DataFrame:
    """The scores, without tasks of which none is known if it needs a reference or more seeds."""
    if not score.of_circuits:
        return scores
    return scores[scores.groupby(["task", "model", "part"])["value"].transform("count") > 0]


def column_names(scores: pd.DataFrame) -> pd.Series:
    """Task, model, evaluation ablation and part; what all cells share is left out."""
    axes = ("task", "model", "evaluation", "part")
    axes = [axis for axis in axes if scores[axis].nunique() > 1]
    return scores[axes or ["task"]].agg(" / ".join, axis=1)


def row_names(scores: pd.DataFrame) -> pd.Series:
    """The method, and what it worked with if that is not always what it is evaluated under."""
    found = scores["method"] + " (found under " + scores["ablation"] + ")"
    return scores["method"] if (scores["ablation"] == scores["evaluation"]).all() else found

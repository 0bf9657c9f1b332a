"""The report of verified recall: what it costs to find the nodes that matter, method by method.

A method that was run with several settings enters with the one of the lowest relative cost on each
problem, as in Kramar et al. 2024 (arXiv 2403.00745); a table of its own lists all settings.
"""

import numpy as np
import pandas as pd

from benchmark.record import Record
from benchmark.report.frame import Results
from benchmark.report.node_problems import problems
from benchmark.report.node_ranks import cancellation, known_ranks, ranks_compared
from benchmark.report.recall_plots import relative_costs, verified_recall
from benchmark.report.study_report import StudyFigure, StudyTable
from benchmark.report.tables import DASH

UNIT = "in multiples of the oracle's (in brackets, a geometric standard deviation either way)"
TITLES = {
    "relative_cost": f"cost of verified recall, {UNIT}",
    "relative_cost_90": f"cost of verifying 90 %, {UNIT}",
}
# Methods whose ranking is a gradient's, in the order of their corrections.
GRADIENTS = ("atp", "atp_qk_fix", "atp_grad_drop", "atp_star")
PLACE = ["place", "method", "setting"]


def tables(results: Results, *, published: bool) -> list[StudyTable]:
    """Relative costs of all nodes and of 90 % of them, methods by problems; and every setting.

    Records of estimates that were not judged have no place here.
    """
    if not _judged(results):
        return []
    costs = settings_compared(results)
    best = costs[costs["best"]]
    return [
        *(
            StudyTable(name.replace("relative_cost", "recall"), title, _by_method(best, name))
            for name, title in TITLES.items()
        ),
        StudyTable("recall_settings", "all settings; the best of each method", _settings(costs)),
    ]


def figures(results: Results, *, published: bool) -> list[StudyFigure]:
    """Costs against the number of nodes, relative costs, ranks, and how much effects cancel."""
    if not _judged(results):
        return []
    costs = settings_compared(results)
    best = costs[costs["best"]]
    chosen = problems(results, _judged(results)).merge(best[PLACE], on=PLACE)
    made = [StudyFigure(("recall", "relative"), relative_costs(best), best)]
    for _, rows in chosen.groupby("place", sort=False):
        title, words = rows[["title", "words"]].iloc[0]
        curves = results.curves.drop(columns="method").merge(rows[["key", "method", "setting"]])
        figure = verified_recall(curves, title)
        made.append(StudyFigure(("recall", *words), figure, curves))
        made += _of_nodes(results, rows, title, words)
    return made


def settings_compared(results: Results) -> pd.DataFrame:
    """A row for each problem, method and setting, with the geometric means over its seeds.

    Beside relative_cost and relative_cost_90 are their geometric standard deviations over seeds
    and repetitions, runs (how many those are), passes (forward and backward, of the estimate, the
    mean over seeds), and best (whether it is the method's best setting on the problem).
    """
    known = problems(results, _judged(results))
    numbers = [_numbers(results, results.records[key]) for key in known["key"]]
    rows = pd.concat([known, pd.DataFrame(numbers)], axis=1)
    found = rows.groupby(PLACE, sort=False).apply(_over_seeds, include_groups=False).reset_index()
    best = found.groupby(["place", "method"])["relative_cost"].idxmin()
    return found.assign(best=found.index.isin(best))


def _judged(results: Results) -> list[Record]:
    return [record for record in results.done if "relative_cost" in record.summary]


def _numbers(results: Results, record: Record) -> dict[str, float]:
    spent, curves = record.cost["discovery"], results.curves
    repeats = curves.loc[curves["key"] == record.key, "repeat"].nunique()
    return record.summary | dict(passes=spent["forward"] + spent["backward"], repeats=repeats)


def _over_seeds(rows: pd.DataFrame) -> pd.Series:
    found = {}
    for name in TITLES:
        logs = np.log(rows[name])
        within = np.log(rows[f"{name}_spread"]) ** 2
        # The variance over all runs is the mean of the variances and the variance of the means.
        found[name] = np.exp(logs.mean())
        found[f"{name}_spread"] = np.exp(np.sqrt(within.mean() + logs.var(ddof=0)))
    return pd.Series(found | dict(runs=rows["repeats"].sum(), passes=rows["passes"].mean()))


def _by_method(best: pd.DataFrame, name: str) -> pd.DataFrame:
    """Methods by problems, the lowest geometric mean first; who lacks a problem comes last."""
    values = best.pivot(index="method", columns="place", values=name)
    shown = best.assign(shown=_with_spread(best, name)).pivot(
        index="method", columns="place", values="shown"
    )
    order = np.log(values).mean(axis=1, skipna=False).sort_values(na_position="last").index
    return shown.loc[order, list(best["place"].unique())].fillna(DASH)


def _settings(costs: pd.DataFrame) -> pd.DataFrame:
    ordered = costs.sort_values(["place", "relative_cost"], kind="stable")
    shown = pd.DataFrame(
        {
            "problem": ordered["place"],
            "setting": ordered["setting"],
            "relative cost": _with_spread(ordered, "relative_cost"),
            "at 90 %": _with_spread(ordered, "relative_cost_90"),
            "estimation passes": ordered["passes"].map("{:,.0f}".format),
            "best": ordered["best"].map({True: "best", False: ""}),
        }
    )
    return shown.set_index("setting").rename_axis("method")


def _with_spread(costs: pd.DataFrame, name: str) -> list[str]:
    """The mean, and where one geometric standard deviation below and above it are."""
    triples = costs[[name, f"{name}_spread", "runs"]].itertuples(index=False)
    return [
        f"{mean:.2f}" + (f" [{mean / spread:.2f}, {mean * spread:.2f}]" if runs > 1 else "")
        for mean, spread, runs in triples
    ]


def _of_nodes(
    results: Results, rows: pd.DataFrame, title: str, words: tuple[str, ...]
) -> list[StudyFigure]:
    """Ranks of the gradients, and the cancellation that any of the records knows."""
    first = rows.sort_values("seed", kind="stable").drop_duplicates("method")
    keys = dict(zip(first["method"], first["key"], strict=True))
    made = []
    ranks = {name: known_ranks(results, keys[name]) for name in GRADIENTS if name in keys}
    if ranks:
        data = pd.concat([one.assign(method=name) for name, one in ranks.items()])
        made.append(StudyFigure(("ranks", *words), ranks_compared(ranks, title), data))
    effects = (results.scores(key, "truth") for key in keys.values())
    measured = next((one for one in effects if one is not None and len(one) > 1), None)
    if measured is not None:
        made.append(StudyFigure(("cancellation", *words), *cancellation(measured, title)))
    return made

"""The report of verified recall: what it costs to find the nodes that matter, method by method.

A method that was run with several settings enters with the one of the lowest relative cost on each
problem, as in Kramar et al. 2024 (arXiv 2403.00745); a table of its own lists all settings. The
nodes that matter most are named.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.report.layout.tables import DASH
from benchmark.report.measured import UNKNOWN, Measured, Quantity
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from methods.importance.report.problems import headed, is_judged, problems
from methods.importance.report.ranks import cancellation, known_ranks, ranks_compared
from methods.importance.report.recall_plots import relative_costs, verified_recall
from methods.importance.report.top_nodes import first_seed, top_estimates, top_nodes

TITLES = {
    "relative_cost": "cost of verified recall",
    "relative_cost_90": "cost of verifying 90 %",
}
UNIT = "in multiples of the oracle's (in brackets, a geometric standard deviation either way)"
# Methods whose ranking is a gradient's, in the order of their corrections.
GRADIENTS = ("atp", "atp_qk_fix", "atp_grad_drop", "atp_star")
QUANTITIES = {
    name: Quantity(f"{title}, multiples of the oracle's", 0.0) for name, title in TITLES.items()
}
SETTING_OF_PLACE = ["place", "method", "setting"]


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """Costs of all nodes and of 90 % of them, methods by problems; all settings; the top nodes.

    Of estimates that were not judged there are the top nodes alone.
    """
    return [*(_of_judged(results) if _judged(results) else []), *top_estimates(results)]


def _of_judged(results: Results) -> Iterator[ReportTable]:
    costs = settings_compared(results)
    best = costs[costs["best"]]
    for name, title in TITLES.items():
        stem = name.replace("relative_cost", "recall")
        yield ReportTable((stem,), headed(costs, f"{title}, {UNIT}"), _by_method(best, name))
    title = headed(costs, "all settings; the best of each method")
    yield ReportTable(("recall_settings",), title, _settings(costs))
    yield from top_nodes(results, _chosen(results, best))


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """Costs against the number of nodes, relative costs, ranks, and how much effects cancel."""
    if not _judged(results):
        return []
    costs = settings_compared(results)
    best = costs[costs["best"]]
    title = headed(costs, TITLES["relative_cost"])
    made = [ReportFigure(("recall", "relative"), relative_costs(best, title), best)]
    for _, rows in _chosen(results, best).groupby("place", sort=False):
        title, words = rows[["title", "words"]].iloc[0]
        curves = results.tables.drop(columns="method").merge(rows[["key", "method", "setting"]])
        figure = verified_recall(curves, title)
        made.append(ReportFigure(("recall", *words), figure, curves))
        made += _of_nodes(results, rows, words)
    return made


def settings_compared(results: Results) -> pd.DataFrame:
    """A row for each problem, method and setting, with the geometric means over its seeds.

    Beside relative_cost and relative_cost_90 are their geometric standard deviations over seeds
    and repetitions, runs (how many those are), passes (those before the first node is verified, the
    mean over seeds), best (whether it is the method's best setting on the problem), and shared
    (what all problems have in common, in words).
    """
    known = problems(results, _judged(results))
    numbers = [_numbers(results, results.records[key]) for key in known["key"]]
    rows = pd.concat([known, pd.DataFrame(numbers)], axis=1)
    found = (
        rows.groupby(SETTING_OF_PLACE, sort=False)
        .apply(_over_seeds, include_groups=False)
        .reset_index()
    )
    best = found.groupby(["place", "method"])["relative_cost"].idxmin()
    return found.assign(best=found.index.isin(best), shared=known["shared"].iloc[0])


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """The relative cost of each record; unknown of estimates that were not judged."""
    return {record.key: Measured(record.summary.get(quantity, UNKNOWN)) for record in records}


def _judged(results: Results) -> list[Record]:
    return [record for record in results.done if is_judged(record)]


def _chosen(results: Results, best: pd.DataFrame) -> pd.DataFrame:
    """The judged records of the best settings."""
    return problems(results, _judged(results)).merge(best[SETTING_OF_PLACE], on=SETTING_OF_PLACE)


def _numbers(results: Results, record: Record) -> dict[str, float]:
    curves = results.tables
    repeats = curves.loc[curves["key"] == record.key, "repeat"].nunique()
    return record.summary | dict(repeats=repeats)


def _over_seeds(rows: pd.DataFrame) -> pd.Series:
    found = {}
    for name in TITLES:
        logs = np.log(rows[name])
        within = np.log(rows[f"{name}_spread"]) ** 2
        # The variance over all runs is the mean of the variances and the variance of the means.
        found[name] = np.exp(logs.mean())
        found[f"{name}_spread"] = np.exp(np.sqrt(within.mean() + logs.var(ddof=0)))
    return pd.Series(
        found | dict(runs=rows["repeats"].sum(), passes=rows["estimation_passes"].mean())
    )


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
            "runs": ordered["runs"].map("{:.0f}".format),
            "estimation passes": ordered["passes"].map("{:,.0f}".format),
            "best": ordered["best"].map({True: "best", False: ""}),
        }
    )
    one_problem = ["problem"] if costs["place"].nunique() == 1 else []
    return shown.set_index("setting").rename_axis("method").drop(columns=one_problem)


def _with_spread(costs: pd.DataFrame, name: str) -> list[str]:
    """The mean, and where one geometric standard deviation below and above it are, if elsewhere."""
    shown = []
    for mean, spread in costs[[name, f"{name}_spread"]].itertuples(index=False):
        middle, low, high = (f"{x:,.2f}" for x in (mean, mean / spread, mean * spread))
        shown.append(middle if low == high else f"{middle} [{low}, {high}]")
    return shown


def _of_nodes(
    results: Results, of_problem: pd.DataFrame, words: tuple[str, ...]
) -> Iterator[ReportFigure]:
    """Ranks of the gradients, and the cancellation that any of the records knows."""
    rows, title = first_seed(of_problem)
    keys = dict(zip(rows["method"], rows["key"], strict=True))
    ranks = {name: known_ranks(results, keys[name]) for name in GRADIENTS if name in keys}
    if ranks:
        data = pd.concat([one.assign(method=name) for name, one in ranks.items()])
        yield ReportFigure(("ranks", *words), ranks_compared(ranks, title), data)
    effects = results.tensor(rows["key"].iloc[0], "truth")
    if effects is not None and len(effects) > 1:
        yield ReportFigure(("cancellation", *words), *cancellation(effects, title))

"""The nodes that matter most, by name: by the truth where it is known, and by estimates elsewhere.

Beside a true contribution stand the nodes' places in the order in which each method verifies them:
what comes much later than its row is a false negative.
"""

from collections.abc import Iterator

import pandas as pd

from benchmark.report.frame import Results
from benchmark.report.layout.looks import in_families
from benchmark.report.protocol import ReportTable
from methods.importance.report.problems import not_judged, problems
from methods.importance.report.ranks import known_ranks, named

N_SHOWN = 10
TITLE = "the nodes that matter most, and when each method verifies them (first repetition)"


def first_seed(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Of the rows of a problem those of its first seed, and its title with that seed.

    Prompts differ from seed to seed, and so does the truth.
    """
    seed = rows["seed"].min()
    return rows[rows["seed"] == seed], f"{rows['title'].iloc[0]}, seed {seed}"


def top_nodes(results: Results, chosen: pd.DataFrame) -> Iterator[ReportTable]:
    """A table for each problem: the nodes of the largest true contributions.

    Args:
        results: with their scores.
        chosen: rows of `problems`, of judged records, of every method one setting.
    """
    for _, of_problem in chosen.groupby("place", sort=False):
        rows, title = first_seed(of_problem)
        keys = dict(zip(rows["method"], rows["key"], strict=True))
        ranks = {
            method: known_ranks(results, keys[method]).set_index("node")
            for method in in_families(keys)
        }
        best = next(iter(ranks.values()))["contribution"].iloc[:N_SHOWN]
        table = pd.DataFrame({"contribution": best.map("{:#.3g}".format)})
        for method, one in ranks.items():
            table[method] = one["estimated_rank"].reindex(best.index).map("{:,.0f}".format)
        yield ReportTable(("top_nodes", *rows["words"].iloc[0]), f"{title}\n{TITLE}", table)


def top_estimates(results: Results) -> Iterator[ReportTable]:
    """A table for each setting of a method that nobody judged: the largest estimates."""
    alone = not_judged(results)
    if not alone:
        return
    for (_, setting), of_setting in problems(results, alone).groupby(["place", "setting"]):
        rows, title = first_seed(of_setting)
        key, words = rows[["key", "words"]].iloc[0]
        estimates = pd.DataFrame({"estimate": results.tensor(key, "estimate")})
        best = named(results, key, estimates.nlargest(N_SHOWN, "estimate")).set_index("node")
        table = best[["estimate"]].map("{:#.3g}".format)
        title += f"\nthe nodes that matter most by {setting}, which nobody judged"
        yield ReportTable(("top_estimates", *words, setting), title, table)

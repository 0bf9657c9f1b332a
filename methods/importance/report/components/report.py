"""The report on components ablated alone: tables and pictures for every task and model.

Li & Janson 2024 (arXiv 2409.09951), section 2: how alike ablations rank components, how much of a
gap is left under the optimal constants, and whether their bound holds.
"""

from benchmark.report.frame import Results
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from benchmark.report.published.belonging import published_cells
from methods.importance.report.components.beside import published_tables
from methods.importance.report.components.joined import Joined, joined
from methods.importance.report.components.plots import correlations, gaps_of_components, in_the_grid
from methods.importance.report.components.statistics import (
    bound_table,
    bounds,
    summary_table,
    top_table,
)


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """Per task and model: statistics, top components, and the bound if it can be checked.

    Raises:
        UserError: records that belong together were run differently, or one is missing.
    """
    found = joined(results)
    ours = [table for one in found for table in _tables_of(one)]
    theirs = published_tables(published_cells(results.done)) if asked.published else ()
    return [*ours, *theirs]


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """Per task and model: ablations compared, and the largest components.

    Raises:
        UserError: records that belong together were run differently, or one is missing.
    """
    return [figure for one in joined(results) for figure in _figures_of(one)]


def _tables_of(found: Joined) -> list[ReportTable]:
    optimal = found.optimal
    ratio = f"; ratio: the gap under {optimal} as a share of the ablation's" if optimal else ""
    made = [
        ("components", f"heads and MLPs; correlations are with counterfactual{ratio}",
         summary_table(found)),
        ("components_top", "the largest gaps (nats)", top_table(found)),
    ]  # fmt: skip
    if bounds(found):
        title = "what is lost under optimal constants beyond what they bound (nats)"
        made.append(("components_bound", title, bound_table(found)))
    return [
        ReportTable((name, found.task, found.model), f"{found.words}: {title}", table)
        for name, title, table in made
    ]


def _figures_of(found: Joined) -> list[ReportFigure]:
    data = found.components.merge(found.means, left_on="component", right_index=True)
    made = [ReportFigure(("components", found.task, found.model), gaps_of_components(found), data)]
    if len(in_the_grid(found)) > 1:
        words = ("components", "correlations", found.task, found.model)
        made.append(ReportFigure(words, correlations(found), data))
    return made

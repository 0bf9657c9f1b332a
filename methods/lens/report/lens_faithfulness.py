"""The report of lenses' faithfulness: one table of all interventions, and their curves by layer."""

import pandas as pd
from matplotlib.figure import Figure

from benchmark.report.frame import Results
from benchmark.report.layout import axes_of, legend
from benchmark.report.looks import look
from benchmark.report.protocol import Asked, ReportFigure, ReportTable

MEASURES = {
    "magnitude_correlation": "correlation of log effects",
    "direction_similarity": "similarity of effects",
}
PLACE = ["task", "model"]


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """For every text and model, both measures of every lens and intervention, layers averaged."""
    made = []
    for place, rows in _named(results).groupby(PLACE):
        means = rows.groupby(["lens", "intervention"], sort=False)[[*MEASURES]].mean()
        shown = means.apply(
            lambda row: f"{row['magnitude_correlation']:.3f} / {row['direction_similarity']:.3f}",
            axis=1,
        )
        table = shown.unstack().reindex(columns=rows["intervention"].unique())
        title = f"{', '.join(place)}: {' / '.join(MEASURES.values())}, mean over layers"
        made.append(ReportTable(("lens_faithfulness", *place), title, table))
    return made


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """For every text, model and intervention, both measures by layer."""
    return [
        ReportFigure(("lens_faithfulness", *place), by_layer(rows, ", ".join(place)), rows)
        for place, rows in _named(results).groupby([*PLACE, "intervention"], sort=False)
    ]


def by_layer(rows: pd.DataFrame, title: str) -> Figure:
    """A panel for each measure, a line for each lens; of several seeds, with their range."""
    figure, panels = axes_of(title, len(MEASURES))
    for axes, (measure, name) in zip(panels, MEASURES.items(), strict=True):
        for lens, some in rows.groupby("lens", sort=False):
            how = look(str(lens))
            found = some.groupby("layer")[measure].agg(["mean", "min", "max"])
            axes.plot(
                found.index, found["mean"], color=how.colour, marker=how.mark, ls=how.dash, ms=4,
                label=str(lens),
            )  # fmt: skip
            axes.fill_between(
                found.index, found["min"], found["max"], color=how.colour, alpha=0.15, lw=0
            )
        axes.set_xlabel("before layer")
        axes.set_ylabel(name)
        axes.xaxis.get_major_locator().set_params(integer=True)
    legend(figure, panels[-1])
    return figure


def _named(results: Results) -> pd.DataFrame:
    """All rows with the lens that they are of."""
    lenses = {record.key: record.config["method"]["lens"] for record in results.done}
    return results.tables.assign(lens=results.tables["key"].map(lenses))

"""The report of lenses' faithfulness: one table of all interventions, and their curves by layer."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.report.layout.looks import look
from benchmark.report.layout.pictures import axes_of, legend, log_axis
from benchmark.report.measured import Measured, Quantity
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from methods.lens.report.overall import (
    overall_of,
    pooled,
    shown_overall,
    with_lenses,
)
from methods.lens.report.published import (
    published_faithfulness,
    published_models,
    published_of,
    published_table,
)

MEASURES = {
    "magnitude_correlation": "correlation of log effects",
    "direction_similarity": "similarity of effects",
}
PLACE = ["task", "model"]
LOCAL = "local_perturbation"
QUANTITIES = {
    name: Quantity(f"{words}, mean over layers", -1.0, 1.0) for name, words in MEASURES.items()
}


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """For every text and model, how alike the effects are, and the loss; layers averaged."""
    made = []
    for place, every in with_lenses(results).groupby(PLACE):
        made.append(_overall_table(results, place, every))
        made += _local_table(place, every[every["intervention"] == LOCAL])
        rows = every[every["intervention"] != LOCAL]
        if not len(rows):
            continue
        means = rows.groupby(["lens", "intervention"], sort=False)[[*MEASURES]].mean()
        shown = means.apply(
            lambda row: f"{row['magnitude_correlation']:.3f} / {row['direction_similarity']:.3f}",
            axis=1,
        )
        table = shown.unstack().reindex(columns=rows["intervention"].unique())
        title = f"{', '.join(place)}: {' / '.join(MEASURES.values())}, mean over layers"
        made.append(ReportTable(("lens_faithfulness", *place), title, table))
    if asked.published:
        made += [_published(model) for model in published_models(results, published_faithfulness)]
    return made


def _overall_table(results: Results, place: tuple[str, str], rows: pd.DataFrame) -> ReportTable:
    """All lenses by loss, agreement, both measures of their effects, and cost."""
    records = rows[["key", "lens"]].drop_duplicates().itertuples(index=False)
    whole = pd.DataFrame(
        {"lens": lens}
        | overall_of(results, results.records[key])
        | {words: results.records[key].summary[f"mean_{name}"] for name, words in MEASURES.items()}
        for key, lens in records
    )
    overall = pooled(whole.groupby("lens", sort=False))
    table = shown_overall(overall, more=list(MEASURES.values()))
    return ReportTable(("lenses", *place), f"{', '.join(place)}: all lenses", table)


def _published(model: str) -> ReportTable:
    """Means over layers, as they were published."""
    rows = published_faithfulness(model)
    means = rows[rows["layer"] == "mean"].assign(level=rows["level"].map("{:g}".format))
    means["level"] = means["level"].replace("nan", "")
    return published_table("lens_faithfulness", means, ["intervention", "level", "measure"])


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """For every text, model and intervention, both measures by layer, or the loss by level."""
    made = []
    for place, rows in with_lenses(results).groupby([*PLACE, "intervention"], sort=False):
        draw = by_level if place[-1] == LOCAL else by_layer
        theirs = _published_of(results, rows, place[-1]) if asked.published else pd.DataFrame()
        figure = draw(rows, ", ".join(place), theirs)
        made.append(ReportFigure(("lens_faithfulness", *place), figure, rows))
    return made


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """The mean over interventions and layers."""
    return {record.key: Measured(record.summary[f"mean_{quantity}"]) for record in records}


def by_layer(rows: pd.DataFrame, title: str, published: pd.DataFrame) -> Figure:
    """A panel for each measure, a line for each lens; of several seeds, with their range.

    Args:
        rows: of one intervention.
        title: of the picture.
        published: values of the same model, dotted; may be empty.
    """
    figure, panels = axes_of(title, len(MEASURES))
    for axes, (measure, name) in zip(panels, MEASURES.items(), strict=True):
        for lens, some in rows.groupby("lens", sort=False):
            how = look(str(lens))
            found = some.groupby("layer")[measure].agg(["mean", "min", "max"])
            axes.plot(
                found.index, found["mean"], color=how.colour, marker=how.mark, ls=how.line, ms=4,
                label=str(lens),
            )  # fmt: skip
            axes.fill_between(
                found.index, found["min"], found["max"], color=how.colour, alpha=0.15, lw=0
            )
        _add_published(axes, published, "layer", measure)
        axes.set_xlabel("before layer")
        axes.set_ylabel(name)
        axes.xaxis.get_major_locator().set_params(integer=True)
    legend(figure, panels[-1])
    return figure


def by_level(rows: pd.DataFrame, title: str, published: pd.DataFrame) -> Figure:
    """The loss of each lens from the perturbed model, by how far that moved; layers averaged.

    Args:
        rows: of local perturbations.
        title: of the picture.
        published: values of the same model, dotted; may be empty.
    """
    figure, (axes,) = axes_of(title)
    for lens, some in rows.groupby("lens", sort=False):
        how = look(str(lens))
        # Of several seeds, with their range.
        found = some.groupby(["level", "key"])["loss"].mean().groupby("level")
        mean = found.mean()
        axes.plot(
            mean.index, mean, color=how.colour, marker=how.mark, ls=how.line, ms=4, label=str(lens)
        )
        axes.fill_between(mean.index, found.min(), found.max(), color=how.colour, alpha=0.15, lw=0)
    _add_published(axes, published, "level", "loss")
    log_axis(axes, "x")
    axes.set_xlabel("KL that the perturbation moves the model by, nats")
    axes.set_ylabel("KL(perturbed model || lens), nats")
    legend(figure, axes)
    return figure


def _published_of(results: Results, rows: pd.DataFrame, intervention: str) -> pd.DataFrame:
    """What was published of the model that some rows are of."""
    record = results.records[rows["key"].iloc[0]]
    found = published_of(record, published_faithfulness)
    return found[found["intervention"] == intervention]


def _add_published(axes: Axes, published: pd.DataFrame, x: str, measure: str) -> None:
    """A dotted line for each lens; what is known as a mean over layers only, from side to side."""
    if not len(published):
        return
    own = published[published["measure"] == measure]
    for lens, some in own.groupby("lens", sort=False):
        places = pd.to_numeric(some[x], errors="coerce")
        words = {"color": look(str(lens)).colour, "ls": ":", "label": f"{lens} (published)"}
        if places.notna().sum() > 1:
            axes.plot(places[places.notna()], some["value"][places.notna()], **words)
        else:
            axes.axhline(some["value"].iloc[0], **words)


def _local_table(place: tuple[str, str], rows: pd.DataFrame) -> list[ReportTable]:
    if not len(rows):
        return []
    table = rows.pivot_table(index="lens", columns="level", values="loss", sort=False)
    table.columns = [f"{level:g} nats" for level in table.columns]
    title = f"{', '.join(place)}: KL(perturbed model || lens) by how far it moved, mean over layers"
    shown = table.map("{:.3f}".format)
    return [ReportTable(("lens_faithfulness", "local", *place), title, shown)]

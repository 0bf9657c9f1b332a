"""The report of elicitation: what layers answer behind right and behind wrong demonstrations."""

from collections.abc import Iterator, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.report.layout.looks import look
from benchmark.report.layout.pictures import GREY, axes_of, legend
from benchmark.report.measured import Measured, Quantity
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from methods.lens.report.boosts import SHOWN, boost_of, gains
from methods.lens.report.overall import with_lenses
from methods.lens.report.published import (
    published_elicitation,
    published_models,
    published_of,
    published_table,
)

ACCURACY = "calibrated accuracy"
PLACE = ["task", "model"]
# What names of the data sets begin with that the paper takes.
OF_THE_HUB = "labelled_"
GAIN = "gain_"
QUANTITIES = {
    f"{GAIN}{shown}": Quantity(
        f"accuracy gained over the model behind {words}, at the layer that other prompts choose",
        -1.0,
        1.0,
    )
    for shown, words in SHOWN.items()
}


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """For every task and model, what every lens gains over the model; the papers' beside theirs."""
    made = []
    for place, rows in _named(results).groupby(PLACE, sort=False):
        title = f"{', '.join(place)}: {ACCURACY} of the model, and of the best layer of each lens"
        made.append(ReportTable(("lens_elicitation", *place), title, _shown(gains(results, rows))))
    if asked.published:
        made += [
            published_table(
                "lens_elicitation", published_elicitation(model), ["dataset", "shown", "measure"]
            )
            for model in published_models(results, published_elicitation)
        ]
    return made


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """For every task and model, accuracy by layer and by number; with several tasks their mean."""
    made = []
    named = _named(results)
    for place, rows in _places(named):
        title = ", ".join(place)
        most = rows[rows["demonstrations"] == rows["demonstrations"].max()]
        words = ("lens_elicitation", *place)
        theirs = _published(results, place) if asked.published else pd.DataFrame()
        made.append(ReportFigure(words, by_layer(most, title, theirs), most))
        if rows["demonstrations"].nunique() > 1:
            best = _best_layers(rows)
            made.append(ReportFigure((*words, "demonstrations"), by_number(best, title), best))
    for model, rows in named.groupby("model", sort=False):
        if rows["task"].nunique() > 1:
            found = gains(results, rows)
            words = ("lens_elicitation", "gains", str(model))
            made.append(ReportFigure(words, by_task(found, str(model)), found))
    return made


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """What the best layer gains over the model, with the interval over prompts."""
    shown = quantity.removeprefix(GAIN)
    boosts = {record.key: boost_of(results, record.key, shown) for record in records}
    return {key: Measured(boost.value, boost.low, boost.high) for key, boost in boosts.items()}


def by_layer(rows: pd.DataFrame, title: str, published: pd.DataFrame) -> Figure:
    """Accuracy behind the most demonstrations: a panel for each kind, a line for each lens.

    Args:
        rows: of the most demonstrations.
        title: of the picture.
        published: accuracies of the same data, dotted; may be empty.
    """
    number = int(rows["demonstrations"].max())
    figure, panels = axes_of(f"{title}\nbehind {number} demonstrations", len(SHOWN))
    for axes, (shown, name) in zip(panels, SHOWN.items(), strict=True):
        own = rows[rows["shown"] == shown]
        for lens, some in own[~own["model_itself"]].groupby("lens", sort=False):
            _line(axes, some, "layer", str(lens))
        model = own.loc[own["model_itself"], "accuracy"].mean()
        axes.axhline(model, color=GREY, ls="--", lw=1, label="the model")
        for row in published[published["shown"] == shown].itertuples() if len(published) else ():
            label = f"{row.lens}, {row.measure} (published)"
            axes.axhline(row.value, color=look(str(row.lens)).colour, ls=":", lw=1, label=label)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("before layer")
        axes.xaxis.get_major_locator().set_params(integer=True)
    _of_one_height(panels)
    legend(figure, panels[0])
    return figure


def by_number(rows: pd.DataFrame, title: str) -> Figure:
    """Accuracy by number of demonstrations, of the model and of each lens at one layer."""
    figure, panels = axes_of(title, len(SHOWN))
    for axes, (shown, name) in zip(panels, SHOWN.items(), strict=True):
        own = rows[rows["shown"] == shown]
        for lens, some in own[~own["model_itself"]].groupby("lens", sort=False):
            _line(axes, some, "demonstrations", f"{lens}, layer {int(some['layer'].iloc[0])}")
        model = own[own["model_itself"]].groupby("demonstrations")["accuracy"].mean()
        axes.plot(model.index, model, color=GREY, ls="--", lw=1, label="the model")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("demonstrations")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=7)
    _of_one_height(panels)
    return figure


def _line(axes: Axes, rows: pd.DataFrame, x: str, label: str) -> None:
    """With the interval over prompts; of several seeds or tasks, the mean and their range."""
    how = look(label.split(",")[0])
    found = rows.groupby(x)[["accuracy", "low", "high"]].mean()
    if rows.groupby(x).size().max() > 1:
        found[["low", "high"]] = rows.groupby(x)["accuracy"].agg(["min", "max"])
    axes.plot(
        found.index, found["accuracy"], color=how.colour, marker=how.mark, ls=how.line, ms=4,
        label=label,
    )  # fmt: skip
    axes.fill_between(found.index, found["low"], found["high"], color=how.colour, alpha=0.15, lw=0)


def _of_one_height(panels: list[Axes]) -> None:
    low = min(axes.get_ylim()[0] for axes in panels)
    high = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(low, high)
    panels[0].set_ylabel(ACCURACY)


def _places(rows: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The rows of every task and model, and of each model with several tasks all of them."""
    yield from rows.groupby(PLACE, sort=False)  # type: ignore[misc]
    for model, some in rows.groupby("model", sort=False):
        if some["task"].nunique() > 1:
            yield (f"mean of {some['task'].nunique()} tasks", str(model)), some


def _best_layers(rows: pd.DataFrame) -> pd.DataFrame:
    """The model's rows, and of each lens those of the layer that is best behind the most."""
    most = rows[~rows["model_itself"] & (rows["demonstrations"] == rows["demonstrations"].max())]
    means = most.groupby(["shown", "lens", "layer"])["accuracy"].mean()
    best = {key[:2]: key[2] for key in means.groupby(["shown", "lens"]).idxmax()}
    chosen = [best[shown, lens] for shown, lens in zip(rows["shown"], rows["lens"], strict=True)]
    return rows[rows["model_itself"] | (rows["layer"] == chosen)]


def by_task(found: pd.DataFrame, title: str) -> Figure:
    """The gain of each lens on each task, with its interval; of several seeds the mean."""
    figure, panels = axes_of(title, len(SHOWN))
    tasks, lenses = (list(dict.fromkeys(found[name])) for name in ("task", "lens"))
    for axes, (shown, name) in zip(panels, SHOWN.items(), strict=True):
        for number, lens in enumerate(lenses):
            own = found[(found["shown"] == shown) & (found["lens"] == lens)]
            means = own.groupby("task", sort=False)[["gain", "low", "high"]].mean()
            heights = [
                tasks.index(task) + 0.15 * (number - len(lenses) / 2) for task in means.index
            ]
            how = look(lens)
            ends = [means["gain"] - means["low"], means["high"] - means["gain"]]
            axes.errorbar(
                means["gain"], heights, xerr=ends, color=how.colour, marker=how.mark, ls="", ms=4,
                lw=1, label=lens,
            )  # fmt: skip
        axes.axvline(0, color=GREY, lw=1)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("gain over the model, accuracy")
        axes.set_yticks(range(len(tasks)), tasks if axes is panels[0] else [""] * len(tasks))
        axes.invert_yaxis()
    legend(figure, panels[0])
    return figure


def _shown(found: pd.DataFrame) -> pd.DataFrame:
    several = found["seed"].nunique() > 1
    rows = []
    for (lens, seed), own in found.groupby(["lens", "seed"], sort=False):
        row = {"lens": f"{lens} seed={seed}" if several else lens}
        for boost in own.itertuples():
            row[f"model, {boost.shown}"] = f"{boost.model:.3f}"
            row[f"layer, {boost.shown}"] = str(boost.layer)
            interval = f"[{boost.low:+.3f}, {boost.high:+.3f}]"
            row[f"gain, {boost.shown}"] = f"{boost.gain:+.3f} {interval}"
            row[f"largest, {boost.shown}"] = f"{boost.largest:+.3f}"
        rows.append(row)
    return pd.DataFrame(rows).set_index("lens")


def _published(results: Results, place: tuple[str, str]) -> pd.DataFrame:
    """What was published of the same data and model: accuracies, and no gains."""
    task, model = place
    record = next(one for one in results.done if results.labels[one.key]["model"] == model)
    rows = published_of(record, published_elicitation)
    name = task.split(" ")[0].removeprefix(OF_THE_HUB)
    same = rows["dataset"].str.startswith("mean of") if name == "mean" else rows["dataset"] == name
    return rows[same & (rows["measure"] != "gain")]


def _named(results: Results) -> pd.DataFrame:
    """All rows with the lens that they are of, and which are of the model itself."""
    rows = with_lenses(results)
    last = rows.groupby("key")["layer"].transform("max")
    return rows.assign(model_itself=rows["layer"] == last)

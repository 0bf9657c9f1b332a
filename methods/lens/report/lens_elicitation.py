"""The report of elicitation: what layers answer behind right and behind wrong demonstrations."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.frame import Results
from benchmark.report.layout.looks import look
from benchmark.report.layout.pictures import GREY, axes_of, legend
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from methods.lens.report.boosts import Boost
from methods.lens.report.published import published_elicitation, published_models, published_table

SHOWN = {"right": "right demonstrations", "wrong": "wrong demonstrations"}
ACCURACY = "calibrated accuracy"
PLACE = ["task", "model"]


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """For every task and model, what every lens gains over the model; the papers' beside theirs."""
    made = []
    for place, rows in _named(results).groupby(PLACE, sort=False):
        title = f"{', '.join(place)}: {ACCURACY} of the model, and of the best layer of each lens"
        made.append(ReportTable(("lens_elicitation", *place), title, _boosts(results, rows)))
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
    for place, rows in _places(_named(results)):
        title = ", ".join(place)
        most = rows[rows["demonstrations"] == rows["demonstrations"].max()]
        words = ("lens_elicitation", *place)
        made.append(ReportFigure(words, by_layer(most, title), most))
        if rows["demonstrations"].nunique() > 1:
            best = _best_layers(rows)
            made.append(ReportFigure((*words, "demonstrations"), by_number(best, title), best))
    return made


def by_layer(rows: pd.DataFrame, title: str) -> Figure:
    """Accuracy behind the most demonstrations: a panel for each kind, a line for each lens."""
    number = int(rows["demonstrations"].max())
    figure, panels = axes_of(f"{title}\nbehind {number} demonstrations", len(SHOWN))
    for axes, (shown, name) in zip(panels, SHOWN.items(), strict=True):
        own = rows[rows["shown"] == shown]
        for lens, some in own[~own["model_itself"]].groupby("lens", sort=False):
            _line(axes, some, "layer", str(lens))
        model = own.loc[own["model_itself"], "accuracy"].mean()
        axes.axhline(model, color=GREY, ls="--", lw=1, label="the model")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("before layer")
        axes.xaxis.get_major_locator().set_params(integer=True)
    _finish(figure, panels)
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
    panels[0].set_ylabel(ACCURACY)
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


def _finish(figure: Figure, panels: list[Axes]) -> None:
    low = min(axes.get_ylim()[0] for axes in panels)
    high = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(low, high)
    panels[0].set_ylabel(ACCURACY)
    legend(figure, panels[0])


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


def _boosts(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    shown = []
    for record in results.done:
        if record.key not in set(rows["key"]):
            continue
        row = {"lens": record.config["method"]["lens"], "seed": record.config["seed"]}
        for kind in SHOWN:
            correct = results.tensor(record.key, f"correct/{kind}")
            assert correct is not None
            boost = Boost.of(correct)
            row[f"model, {kind}"] = f"{correct[-1].mean():.3f}"
            row[f"layer, {kind}"] = str(boost.layer)
            row[f"gain, {kind}"] = f"{boost.value:+.3f} [{boost.low:+.3f}, {boost.high:+.3f}]"
            row[f"largest, {kind}"] = f"{boost.largest:+.3f}"
        shown.append(row)
    table = pd.DataFrame(shown)
    seeds = table.pop("seed")
    if seeds.nunique() > 1:
        table["lens"] += [f" seed={seed}" for seed in seeds]
    return table.set_index("lens")


def _named(results: Results) -> pd.DataFrame:
    """All rows with the lens that they are of, and which are of the model itself."""
    rows = results.tables
    lenses = {record.key: record.config["method"]["lens"] for record in results.done}
    last = rows.groupby("key")["layer"].transform("max")
    return rows.assign(lens=rows["key"].map(lenses), model_itself=rows["layer"] == last)

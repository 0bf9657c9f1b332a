"""The report of lenses: their loss at every layer, and one table of all by loss and by cost.

Lenses stand side by side where they read the same rows of the same model. Bands and brackets are
95 % intervals from the bootstrap over rows, or, of several seeds, the range over them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.report.layout.tables import DASH
from benchmark.report.measured import Measured, Quantity
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from benchmark.statistics.bootstrap import resampled_means
from methods.lens.report.overall import (
    ENDS,
    EVERYWHERE,
    LOSS,
    by_place,
    overall_of,
    pooled,
    refuse_other_rows,
    shown_overall,
    with_ends,
)
from methods.lens.report.plots import losses_by_layer, losses_by_length
from methods.lens.report.published import PROVENANCE, published_losses, source_of

QUANTITIES = {
    "loss": Quantity("nats, mean over layers", 0.0),
    "later_loss": Quantity("nats, mean over layers but the first", 0.0),
    "agreement": Quantity("share of rows, mean over layers", 0.0, 1.0),
}
# Settings that change what is judged, and not the lens.
OF_JUDGING = ("lengths", "every_position")


@dataclass(frozen=True)
class Compared:
    """Lenses of one model on one text, read after as many tokens.

    Attributes:
        task: its label.
        model: its label.
        source: the repository of the model, or nothing for a directory.
        length: tokens that are read, or None for all.
        losses: method, layer, loss, loss_low, loss_high and agreement; a row for each layer.
        overall: a row for each method: loss, its ends, agreement, parameters, passes, seconds.
    """

    task: str
    model: str
    source: str
    length: int | None
    losses: pd.DataFrame
    overall: pd.DataFrame

    @property
    def words(self) -> str:
        """What was read, for titles."""
        after = "" if self.length is None else f", after {self.length} tokens"
        return f"{self.task}, {self.model}{after}"

    @property
    def names(self) -> tuple[str, ...]:
        """The same for names of files."""
        return self.task, self.model, *([] if self.length is None else [f"{self.length}tokens"])


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """For every text and model the table of all lenses, and the losses by layer."""
    made = []
    for one in compared(results):
        made.append(ReportTable(("lenses", *one.names), one.words, shown_overall(one.overall)))
        title = f"{one.words}: {LOSS}, before each layer"
        made.append(ReportTable(("lens_loss", *one.names), title, _by_layer(one)))
        if EVERYWHERE[0] in one.losses and one.losses[EVERYWHERE[0]].notna().any():
            title = f"{one.words}: {LOSS}, before each layer, over all positions"
            table = _by_layer(one, EVERYWHERE)
            made.append(ReportTable(("lens_loss_everywhere", *one.names), title, table))
        theirs = published_losses(one.source) if asked.published else pd.DataFrame()
        if len(theirs):
            made.append(_published_table(one, theirs))
    return made


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """For every text and model the loss by layer; with several lengths, also by length."""
    every = compared(results)
    made = []
    for one in every:
        theirs = published_losses(one.source) if asked.published else pd.DataFrame()
        figure = losses_by_layer(one.losses, theirs, one.words)
        made.append(ReportFigure(("lens_loss", *one.names), figure, one.losses))
    for place, parts in _of_several_lengths(every):
        rows = pd.concat([part.overall.assign(length=part.length) for part in parts])
        figure = losses_by_length(rows.reset_index(), ", ".join(place))
        made.append(ReportFigure(("lens_lengths", *place), figure, rows.reset_index()))
    return made


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """The mean over layers, with its values on resampled rows."""
    found = {}
    for record in records:
        values = results.tensor(record.key, quantity.removeprefix("later_"))
        assert values is not None
        chosen = values[1:] if quantity.startswith("later_") else values
        of_rows = chosen.mean(0, keepdims=True, dtype=np.float64)
        found[record.key] = Measured.resampled(float(of_rows.mean()), resampled_means(of_rows)[0])
    return found


def compared(results: Results) -> list[Compared]:
    """Every text, model and length with all its lenses.

    Raises:
        UserError: two records are of one lens and seed, or lenses read different rows.
    """
    places = by_place(results).items()
    return [one for place, records in places for one in _of_place(results, place, records)]


def _of_place(
    results: Results, place: tuple[str, str], records: list[Record]
) -> Iterator[Compared]:
    called = {record.key: _lens_name(results.labels[record.key]["method"]) for record in records}
    refuse_other_rows(records, called)
    keys = [record.key for record in records]
    rows = results.tables[results.tables["key"].isin(keys)]
    rows = rows.assign(method=rows["method"].map(_lens_name))
    for length, some in rows.groupby(rows["length"].astype("Int64"), dropna=False):
        number = None if pd.isna(length) else int(length)
        losses = pooled(some.groupby(["method", "layer"], sort=False)).reset_index()
        whole = pd.DataFrame(
            {"method": _lens_name(results.labels[record.key]["method"])}
            | overall_of(results, record, number)
            for record in records
            if record.key in set(some["key"])
        )
        overall = pooled(whole.groupby("method", sort=False))
        yield Compared(*place, source_of(records[0]), number, losses, overall)


def _lens_name(label: str) -> str:
    return " ".join(word for word in label.split(" ") if word.split("=")[0] not in OF_JUDGING)


def _by_layer(one: Compared, columns: tuple[str, str, str] = ENDS) -> pd.DataFrame:
    numbers = one.losses[list(columns)].set_axis(ENDS, axis=1)
    shown = one.losses.assign(shown=[with_ends(row) for row in numbers.itertuples()])
    table = shown.pivot(index="layer", columns="method", values="shown")
    return table[list(one.overall.sort_values("loss").index)].fillna(DASH)


def _published_table(one: Compared, theirs: pd.DataFrame) -> ReportTable:
    table = theirs.pivot(index="layer", columns="lens", values="loss").map("{:g}".format)
    where = "; ".join(
        f"{place} ({PROVENANCE[tag]})"
        for place, tag in theirs[["where", "provenance"]].drop_duplicates().itertuples(index=False)
    )
    title = f"published: {theirs['source'].iloc[0]}: {one.source}, {where}"
    return ReportTable(("published_lens_loss", one.model), title, table.replace("nan", DASH))


def _of_several_lengths(every: list[Compared]) -> Iterator[tuple[tuple[str, str], list[Compared]]]:
    places: dict[tuple[str, str], list[Compared]] = {}
    for one in every:
        places.setdefault((one.task, one.model), []).append(one)
    yield from ((place, parts) for place, parts in places.items() if len(parts) > 1)

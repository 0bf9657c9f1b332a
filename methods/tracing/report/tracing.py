"""The report on causal tracing: tables and pictures for every task and model.

Corruptions stand side by side: optimal constants against Gaussian noise is figure 2 of Li & Janson
2024 (arXiv 2409.09951).
"""

from collections.abc import Iterator, Sequence

import pandas as pd

from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.report.measured import UNKNOWN, Measured, Quantity
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from benchmark.report.published.belonging import published_model
from benchmark.report.published.numbers import published_effects
from methods.tracing.report.plots import effects_by_layer, effects_by_token, grid_of_fact
from methods.tracing.report.series import TOKENS, Traced, traced
from methods.tracing.report.tables import published_table, tables_of

PUBLISHED_MODEL = "gpt2-xl"
# Of single layers' attention, restored at the last token.
ATTENTION = {"part": "sharpness", "restored": "attention", "window": 1, "where": "last"}
QUANTITIES = {
    "effective_layers": Quantity("effective layers of attention at the last token", 1.0),
    "largest_effect": Quantity("largest effect of attention at the last token", 0.0),
}


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """Per task and model: top layers, sharpness, levels; the paper's beside its own model."""
    made = [table for found in traced(results) for table in tables_of(found)]
    theirs = any(published_model(record) == PUBLISHED_MODEL for record in results.done)
    return [*made, *([published_table()] if asked.published and theirs else [])]


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """How sharply attention is placed, with the interval over facts."""
    found = {}
    for record in records:
        rows = results.tables[results.tables["key"] == record.key]
        for column, value in {**ATTENTION, "measure": quantity}.items():
            rows = rows[rows[column] == value]
        ends = rows[["value", "low", "high"]].to_numpy(float)
        found[record.key] = Measured(*ends[0]) if len(ends) else Measured(UNKNOWN)
    return found


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """Per task and model: effects against layers, averages over tokens, the grids of some facts.

    What the paper reports is drawn beside the model that it is of.
    """
    return [
        figure
        for found in traced(results)
        for figure in _figures_of(found, published=asked.published)
    ]


def _figures_of(found: Traced, *, published: bool) -> Iterator[ReportFigure]:
    by_layer = {
        name: rows.assign(layer=rows["layer"] + found.dropped(name))
        for name, rows in found.part("layer").items()
    }
    data = pd.concat([rows.assign(corruption=name) for name, rows in by_layer.items()])
    models = {published_model(record) for record in found.records.values()}
    beside = published_effects() if published and models == {PUBLISHED_MODEL} else None
    stem = found.task, found.model
    for where in (name for name in TOKENS if (data["where"] == name).any()):
        figure = effects_by_layer(by_layer, where, found.words, beside)
        rows = data[data["where"] == where].dropna(axis=1, how="all")
        yield ReportFigure(("tracing", where, *stem), figure, rows)
    for name, rows in found.part("token").items():
        if len(rows):
            figure = effects_by_token(rows, f"{found.words}\n{found.corrupted_by(name)}")
            words = ("tracing", "tokens", *stem, name)
            yield ReportFigure(words, figure, rows.dropna(axis=1, how="all"))
    for name, rows in found.part("prompt").items():
        # Without a grid there is no column of facts.
        for fact, own in rows.groupby("fact", sort=False) if len(rows) else ():
            title = f"{found.words}, {found.corrupted_by(name)}: {fact}"
            words = ("tracing", "fact", *stem, name, fact)
            yield ReportFigure(words, grid_of_fact(own, title), own.dropna(axis=1, how="all"))

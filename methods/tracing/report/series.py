"""Records of one task and model side by side: a series for each way of corrupting subjects."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.records.record import Record
from benchmark.report.frame import Results

# Of ablations, the order of tables and legends.
ORDER = ("optimal", "gaussian", "mean", "zero", "resample")
PARTS = {"state": "states", "attention": "attention", "mlp": "MLPs"}
TOKENS = {
    "last_subject": "last subject token",
    "all_subject": "all subject tokens",
    "last": "last token",
}
PLACE = ["restored", "window", "where"]
# Letters of a record's key, where nothing else tells two apart.
SHORT = 6


@dataclass(frozen=True)
class Traced:
    """The records of one task and model.

    Attributes:
        task: its label.
        model: its label.
        series: the table of each way of corrupting, by its name.
        records: the record of each.
    """

    task: str
    model: str
    series: dict[str, pd.DataFrame]
    records: dict[str, Record]

    @property
    def words(self) -> str:
        """What is traced, for titles."""
        return f"{self.task}, {self.model}"

    def part(self, name: str) -> dict[str, pd.DataFrame]:
        """The rows of one part of each table."""
        return {series: rows[rows["part"] == name] for series, rows in self.series.items()}

    def dropped(self, series: str) -> int:
        """How many first layers the record leaves out of its numbers, as in the authors' code."""
        return int(self.records[series].config["method"]["paper_compat"])

    def corrupted_by(self, series: str) -> str:
        """The corruption in words, with the size of noise."""
        config = self.records[series].config
        if "scale" not in config["ablation"]:
            return f"corrupted by {series}"
        of = {"subjects": "subjects' embeddings", "first_stream": "each dimension"}
        size = f"{config['ablation']['scale']:g} s.d. of {of[config['method']['noise']]}"
        return f"corrupted by {series} noise of {size}"


def traced(results: Results) -> Iterator[Traced]:
    """The records of each task and model, those of one kind of corruption side by side."""
    tables = dict(iter(results.tables.groupby("key", sort=False)))
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in results.done:
        label = results.labels[record.key]
        groups.setdefault((label["task"], label["model"]), []).append(record)
    for (task, model), records in groups.items():
        names = dict(zip((r.key for r in records), _names(results, records), strict=True))
        ordered = sorted(records, key=lambda record: _rank(names[record.key]))
        yield Traced(
            task,
            model,
            {names[record.key]: tables[record.key] for record in ordered},
            {names[record.key]: record for record in ordered},
        )


def _names(results: Results, records: list[Record]) -> list[str]:
    """The ablation, with the method and the seed where they tell records apart."""
    labels = [results.labels[record.key] for record in records]
    methods = {label["method"] for label in labels}
    seeds = {record.config["seed"] for record in records}
    found = []
    for label, record in zip(labels, records, strict=True):
        own = label["method"].partition(" ")[2] if len(methods) > 1 else ""
        seed = f"seed={record.config['seed']}" if len(seeds) > 1 else ""
        found.append(" ".join(filter(None, (label["ablation"], own, seed))))
    return [
        f"{name} {record.key[:SHORT]}" if found.count(name) > 1 else name
        for name, record in zip(found, records, strict=True)
    ]


def _rank(name: str) -> tuple[int, str]:
    option = name.split(" ")[0]
    return (ORDER.index(option) if option in ORDER else len(ORDER)), name


def place_words(place: dict[str, Any]) -> str:
    """A group of places in words: `MLPs, 5 layers, last subject token`."""
    width = "" if place["restored"] == "state" else f", {layers(int(place['window']))}"
    return f"{PARTS[place['restored']]}{width}, {TOKENS[place['where']]}"


def layers(width: int) -> str:
    """A width in words."""
    return "1 layer" if width == 1 else f"{width} layers"

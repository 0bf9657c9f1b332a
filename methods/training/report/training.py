"""The report of trained models: one table of all, seeds side by side, and what grows with what.

Two circuits are drawn side by side: those that ACDC leaves at the paper's threshold of the first
records of the first two ways of training, by name.

Models whose names differ by their seed alone (`..._seed0`, `..._seed1`) are one way of training;
its numbers are means over seeds, in brackets with the 95 % interval of the mean by Student's t.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from benchmark.records.record import Record
from benchmark.report.circuits.drawing import circuit_at, draw_side_by_side
from benchmark.report.frame import Results
from benchmark.report.layout.tables import DASH
from benchmark.report.measured import UNKNOWN, Measured, Quantity
from benchmark.report.protocol import Asked, ReportFigure, ReportTable
from benchmark.statistics.student import half_interval
from methods.training.report.plots import gaps_by_size, sizes_by_perplexity
from methods.training.report.published import published_table

SEED = re.compile(r"_?seed\d+")
# What claims may be about, as tables name it.
QUANTITIES = {
    "perplexity": Quantity("perplexity on held-out text", 1.0),
    "acdc tau=0.03": Quantity("edges that ACDC leaves at 0.03 nats", 0.0),
    "acdc edges at 0.1": Quantity("edges for a loss gap of 0.1 nats, by ACDC", 0.0),
    "eap_ig edges at 0.1": Quantity("edges for a loss gap of 0.1 nats, by EAP-IG", 0.0),
    "ugs edges at 0.1": Quantity("edges for a loss gap of 0.1 nats, by UGS", 0.0),
    "other templates edges at 0.1": Quantity("edges for 0.1 nats on other templates", 0.0),
    "sae_l0": Quantity("live latents of an autoencoder", 0.0),
    "mean_weight": Quantity("mean size of weights", 0.0),
    "mean_weight_without_embeddings": Quantity("mean size of weights but embeddings", 0.0),
    "kinds_of_top_tokens": Quantity("tokens among a neuron's largest activations", 1.0),
}
# The threshold of the paper's count of edges.
DRAWN = "tau=0.03"
NOTE = "means over records [95 % interval of the mean by Student's t; none of one record]"


def tables(results: Results, asked: Asked) -> list[ReportTable]:
    """For each task all ways of training: one row each, a column for each measure."""
    made = []
    for task, rows in measured(results).groupby("task", sort=False):
        table = _table(rows)
        title = f"What training did to models, circuits of {task}"
        made.append(ReportTable(("training", str(task)), title, table, note=NOTE))
    if asked.published:
        title = "Published: Ferrao et al. 2025, means over runs [range]"
        made.append(ReportTable(("training", "published"), title, published_table()))
    return made


def measure(results: Results, records: Sequence[Record], quantity: str) -> dict[str, Measured]:
    """A number of each record, with its interval over prompts where it has one."""
    found = {}
    for record in records:
        rows = results.tables.query("key == @record.key and measure == @quantity")
        rows = rows.reindex(columns=["value", "value_low", "value_high"])
        ends = rows.to_numpy(float)
        found[record.key] = Measured(*ends[0]) if len(ends) else Measured(UNKNOWN)
    return found


def figures(results: Results, asked: Asked) -> list[ReportFigure]:
    """For each task circuits against perplexity, and the loss gap against size."""
    made = []
    for task, rows in measured(results).groupby("task", sort=False):
        wide = rows.pivot_table(
            index=["training", "model", "key"], columns="measure", values="value"
        )
        wide = wide.reset_index()
        if "perplexity" in wide:
            figure = sizes_by_perplexity(wide, str(task))
            made.append(ReportFigure(("training_size", str(task)), figure, wide))
    for task, rows in curves(results).groupby("task", sort=False):
        made.append(ReportFigure(("training_gap", str(task)), gaps_by_size(rows, str(task)), rows))
    return [*made, *_circuits(results)]


def _circuits(results: Results) -> Iterator[ReportFigure]:
    """For each task two ways' circuits side by side, where the records have them."""
    for task, rows in measured(results).groupby("task", sort=False):
        firsts = rows.drop_duplicates("training").set_index("training")["key"].sort_index()
        found = {
            training: circuit_at(results.paths[key], DRAWN) for training, key in firsts.items()
        }
        two = {str(name): one for name, one in found.items() if one is not None}
        two = dict(list(two.items())[:2])
        if len(two) == 2 and len({tuple(names) for names, _ in two.values()}) == 1:
            names = next(iter(two.values()))[0]
            edges = {name: kept for name, (_, kept) in two.items()}
            data = pd.concat([kept.assign(training=name) for name, kept in edges.items()])
            figure = draw_side_by_side(edges, names)
            yield ReportFigure(("training_circuits", str(task)), figure, data)


def measured(results: Results) -> pd.DataFrame:
    """The single numbers: task, model, training (its way), measure, value and its interval."""
    return _named(results, results.tables.query("measure != 'curve'"))


def curves(results: Results) -> pd.DataFrame:
    """The loss gap of every circuit: task, model, training, by, size, loss_gap."""
    return _named(results, results.tables.query("measure == 'curve'"))


def with_interval(values: list[float]) -> str:
    """A mean over records with its interval, or a single number."""
    numbers = np.array([value for value in values if not np.isnan(value)])
    if not len(numbers):
        return DASH
    mean = numbers.mean()
    if len(numbers) == 1:
        return _three_digits(mean)
    half = half_interval(numbers)
    return f"{_three_digits(mean)} [{_three_digits(mean - half)}, {_three_digits(mean + half)}]"


def _three_digits(number: float) -> str:
    return f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"


def _named(results: Results, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with their way of training, and with what tells its records apart but the seed."""
    names = rows["model"].map(lambda name: SEED.sub("", str(name).rpartition("/")[2]))
    settings = rows["key"].map(lambda key: _settings(results, key))
    if settings.nunique() > 1:
        names = (names + " " + settings).str.strip()
    return rows.assign(training=names)


def _settings(results: Results, key: str) -> str:
    """What was changed of the study and of the cell's numbers of prompts and seed."""
    record = results.records[key]
    cell = (f"{name}={record.config[name]}" for name in ("n_train", "n_test", "seed"))
    return " ".join([results.labels[key]["method"].partition(" ")[2], *cell]).strip()


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    measures = list(dict.fromkeys(rows["measure"]))
    table = {}
    for training, some in rows.groupby("training"):
        of_measure = {name: part["value"].tolist() for name, part in some.groupby("measure")}
        cells = {
            name: with_interval(of_measure[name]) if name in of_measure else DASH
            for name in measures
        }
        table[training] = {"records": str(some["key"].nunique()), **cells}
    # More measures than ways of training: a row for each measure is easier to read.
    return pd.DataFrame(table).rename_axis("measure")

"""What Li & Janson 2024 published of lenses, on models of GPT-2's family.

Numbers are of models alone that a record names by its Hugging Face repository. What they call the
full model in elicitation is the OCA lens of the last layer.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

import pandas as pd

from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.report.layout.tables import DASH
from benchmark.report.protocol import ReportTable

PROVENANCE = {"H": "exact, from the history of the authors' repository", "R": "read off a picture"}
PublishedOf = Callable[[str], pd.DataFrame]


def published_losses(model: str) -> pd.DataFrame:
    """The published losses on a model: lens, layer, loss (nats), source, where, provenance.

    Args:
        model: the Hugging Face repository that a record names.
    """
    return _of_model("losses", model)


def published_faithfulness(model: str) -> pd.DataFrame:
    """How the effects on lenses and on a model agree: lens, intervention, measure, layer, value.

    Of local perturbations, `level` is how far they move the model in nats, and the measure is the
    loss (nats) of the lens from the perturbed model. The layer may be the mean over all.

    Args:
        model: the Hugging Face repository that a record names.
    """
    return _of_model("faithfulness", model)


def published_elicitation(model: str) -> pd.DataFrame:
    """Calibrated accuracies behind 10 demonstrations: dataset, shown, lens, measure, value.

    Args:
        model: the Hugging Face repository that a record names.
    """
    return _of_model("elicitation", model)


def source_of(record: Record) -> str:
    """The repository of a record's model; nothing for a directory, which may hold anything."""
    return "" if record.model.get("files") else str(record.model.get("source", ""))


def published_of(record: Record, published: PublishedOf) -> pd.DataFrame:
    """What was published of the model that a record is of."""
    return published(source_of(record))


def published_models(results: Results, published: PublishedOf) -> list[str]:
    """The models of some records of which there are published numbers."""
    models = dict.fromkeys(source_of(record) for record in results.done)
    return [model for model in models if len(published(model))]


def published_table(kind: str, rows: pd.DataFrame, columns: Sequence[str]) -> ReportTable:
    """Published numbers as a table of their own: a row for each lens, columns by what is named."""
    table = rows.pivot_table(index="lens", columns=list(columns), values="value", sort=False)
    table.columns = [", ".join(map(str, filter(None, column))) for column in table.columns]
    where = f"{rows['source'].iloc[0]}: {rows['model'].iloc[0]}, {_places(rows)}"
    shown = table.map("{:g}".format).replace("nan", DASH)
    return ReportTable(("published", kind), f"published: {where}", shown)


def _places(rows: pd.DataFrame) -> str:
    pairs = rows[["where", "provenance"]].drop_duplicates().itertuples(index=False)
    return "; ".join(f"{place} ({PROVENANCE[tag]})" for place, tag in pairs)


def _of_model(name: str, model: str) -> pd.DataFrame:
    rows = _read(name)
    return rows[rows["model"] == model.rpartition("/")[2]]


@cache
def _read(name: str) -> pd.DataFrame:
    with files("methods.lens.report").joinpath(f"li_2024_{name}.csv").open() as file:
        return pd.read_csv(file, keep_default_na=True)

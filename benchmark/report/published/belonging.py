"""What published numbers belong to: the model of a record, and the family of its task."""

from collections.abc import Iterable
from functools import cache

from omegaconf import OmegaConf

from benchmark.config import configured_names, option_text
from benchmark.records.record import Record
from benchmark.report.published.numbers import published_effects, published_scores


def published_model(record: Record) -> str | None:
    """The option of conf/model whose weights a record is of, if papers have numbers of it.

    A directory may hold anything, whatever option its settings began with.
    """
    if record.model.get("files") is not None:
        return None
    settings = record.config["model"]
    return _options().get((settings.get("name"), settings.get("revision")))


def published_cells(records: Iterable[Record]) -> set[tuple[str, str]]:
    """The families of tasks and the models that records are of, where papers may have numbers."""
    pairs = ((record.family, published_model(record)) for record in records)
    return {(family, model) for family, model in pairs if model is not None}


@cache
def _options() -> dict[tuple[str, str | None], str]:
    """The options that papers have numbers of, by the name and the revision of what they load."""
    found, models = {}, {*published_scores()["model"], *published_effects()["model"]}
    for option in models & set(configured_names("model")):
        settings = OmegaConf.create(option_text("model", option))
        found[settings.get("name"), settings.get("revision")] = option
    return found

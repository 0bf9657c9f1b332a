"""Curves that a record only repeats of another.

The recipe for constants decides which record a cell has if one of its evaluation ablations trains
some. Under the others, records of a sweep over that recipe measure the same circuits alike.
"""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from benchmark.records.record import CIRCUITS_FILE, Record

Labels = Mapping[str, Mapping[str, str]]


def without_repeated(
    records: dict[str, Record], labels: Labels, tables: pd.DataFrame
) -> tuple[dict[str, Record], pd.DataFrame, tuple[str, ...]]:
    """The records and the rows of their curves, each curve once, and a line for each repeated one.

    Args:
        records: by key.
        labels: by key, the label of each axis.
        tables: the rows of all curves, with the columns key and evaluation.
    """
    first: dict[tuple[object, ...], str] = {}
    repeated: dict[tuple[str, str], str] = {}
    for record in records.values():
        for evaluation in record.areas:
            other = first.setdefault(_curve(record, labels, evaluation), record.key)
            if other != record.key:
                repeated[record.key, evaluation] = other
    if not repeated:
        return records, tables, ()
    places = zip(tables["key"], tables["evaluation"], strict=True)
    once = {key: _without(record, repeated) for key, record in records.items()}
    notes = (
        f"records {other} and {key} are equal under {evaluation}, and count once"
        for (key, evaluation), other in repeated.items()
    )
    return once, tables[[place not in repeated for place in places]], tuple(notes)


def circuits_of(record: Record, labels: Labels) -> tuple[object, ...]:
    """What two records share that found the same circuits in the same way."""
    return (*labels[record.key].values(), record.config["seed"], record.files.get(CIRCUITS_FILE))


def _curve(record: Record, labels: Labels, evaluation: str) -> tuple[object, ...]:
    """What two records share whose curves under an ablation are the same."""
    numbers = (part.get(evaluation) for part in (record.areas, record.ends, record.evaluation))
    # As text, in which an undefined number equals itself.
    return *circuits_of(record, labels), evaluation, *map(repr, numbers)


def _without(record: Record, repeated: Mapping[tuple[str, str], str]) -> Record:
    kept = {name: of for name, of in record.areas.items() if (record.key, name) not in repeated}
    return replace(record, areas=kept)

"""Labels of records: their own names of what was run, told apart where one stands for several."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from benchmark.records.names import AXES, PLACES, UNNAMED, is_named_by, told_apart, words
from benchmark.records.record import Record

# A cell's own settings, by what they are named with where they differ; empty if nothing used them.
OF_CELLS = {
    "task": ("n_train", "n_test"),
    "method": ("attribution_metric", "training_steps", "sizes"),
}
Named = TypeVar("Named", bound=Hashable)
# Settings that no label needs.
UNLABELLED = ("_target_", *UNNAMED)


def all_labels(records: Sequence[Record]) -> dict[str, dict[str, str]]:
    """The label of each of `AXES` for each record, by key."""
    labels: dict[str, dict[str, str]] = {record.key: {} for record in records}
    for axis in AXES:
        settings = {record.key: _settings(record, axis) for record in records}
        for key, label in _with_what_differs(_names(records, axis), settings).items():
            labels[key][axis] = label
    return labels


def _with_what_differs(
    names: Mapping[Named, str], settings: Mapping[Named, dict[str, Any]]
) -> dict[Named, str]:
    """Names, with those settings that not all that have the name share."""
    n_named = Counter(names.values())
    alike = Counter(
        (names[key], setting, repr(value))
        for key, mine in settings.items()
        for setting, value in mine.items()
    )
    labels: dict[Named, str] = {}
    for key, mine in settings.items():
        name = names[key]
        differing = (
            f"{setting}={words(value)}"
            for setting, value in mine.items()
            if alike[name, setting, repr(value)] < n_named[name]
        )
        labels[key] = " ".join([name, *differing])
    return labels


def evaluation_labels(records: Iterable[Record]) -> dict[tuple[str, str], str]:
    """By key and name, labels of evaluation ablations that have one name and several recipes."""
    recipes = {
        (record.key, name): recipe[-1]
        for record in records
        for name, recipe in record.evaluation.items()
        # As `described` writes it; records may hold anything here.
        if isinstance(recipe, list) and recipe and isinstance(recipe[-1], dict)
    }
    labels = _with_what_differs({place: place[1] for place in recipes}, recipes)
    return {place: label for place, label in labels.items() if label != place[1]}


def _names(records: Sequence[Record], axis: str) -> dict[str, str]:
    """By key, the names of records; those of several places are told apart."""
    names = [record.names[axis] for record in records]
    if axis in PLACES:
        names = told_apart(names, [_place(record, axis) for record in records])
    return dict(zip((record.key for record in records), names, strict=True))


def _place(record: Record, axis: str) -> str:
    return str(record.config[axis].get(PLACES[axis], ""))


def _settings(record: Record, axis: str) -> dict[str, Any]:
    config = record.config
    kept = {key: value for key, value in config[axis].items() if key not in UNLABELLED}
    if axis in PLACES and is_named_by(record.names[axis], _place(record, axis)):
        del kept[PLACES[axis]]
    return kept | {key: config[key] for key in OF_CELLS.get(axis, ()) if config[key]}

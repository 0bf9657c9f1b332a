"""What was run, in words: the options that were chosen, with every setting of theirs that changed.

A name is an option's own only where no setting of it was changed: `eap granularity=component`. A
model's directory and a task's file are called by the last part of their path, or by as many parts
as tell them from an option, and from each other where they stand side by side.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.config import configured_names, once, option_text
from benchmark.errors import UserError
from benchmark.records.record import Record

AXES = ("task", "model", "ablation", "method")
# The setting of an option that says where a thing of the user's own lies.
PLACES = {"model": "name", "task": "data"}
# Settings that change no number.
UNNAMED = ("device", "check")


def names_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """What a cell's task, model, ablation and method are called.

    Args:
        settings: all of the cell, as plain values; `names` holds the options, or words of the
            user's own, which stand as they are.
    """
    return {axis: _name(axis, str(settings["names"][axis]), settings) for axis in AXES}


def option(record: Record, axis: str) -> str:
    """The option that a record was run with, whatever it is called."""
    return record.config.get("names", record.names)[axis]


def places_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Where a cell's model and task lie, by which of the two."""
    return {axis: str((settings[axis] or {}).get(key, "")) for axis, key in PLACES.items()}


def words(
    value: Any,  # noqa: ANN401 - a setting of any kind
    single: Callable[[Any], str] = str,
) -> str:
    """A setting's value as it is typed; `single` writes what is neither a list nor a mapping."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(words(item, single) for item in value)}]"
    if isinstance(value, dict):
        pairs = (f"{key}:{words(item, single)}" for key, item in value.items())
        return f"{{{','.join(pairs)}}}"
    return single(value)


def told_apart(names: Sequence[str], places: Sequence[str]) -> list[str]:
    """Names of what lies in these places; one that stands for several has more parts of each."""
    sharing: dict[str, set[str]] = defaultdict(set)
    for name, place in zip(names, places, strict=True):
        sharing[name].add(place)
    return [
        _longer(name, place, sharing[name]) if len(sharing[name]) > 1 else name
        for name, place in zip(names, places, strict=True)
    ]


def is_named_by(name: str, place: str) -> bool:
    """Whether a name begins with a path, or with the last parts of one."""
    return _own_part(name, place) is not None


def is_said(change: str, settings: Mapping[str, Any]) -> bool:
    """Whether a cell's names say what was typed to change it."""
    axis, _, rest = change.lstrip("+").partition(".")
    if axis not in AXES or rest.partition("=")[0] in UNNAMED:
        return False
    return usual_settings(axis, str(settings["names"][axis]), settings) is not None


def _name(axis: str, chosen: str, settings: Mapping[str, Any]) -> str:
    own, usual = settings[axis], usual_settings(axis, chosen, settings)
    if usual is None or own is None:
        return chosen
    place = PLACES.get(axis)
    changed = {
        key: value
        for key, value in own.items()
        if key not in UNNAMED and key in usual and value != usual[key]
    }
    if changed.pop(place, None) is not None or (place and chosen not in configured_names(axis)):
        chosen = _called(axis, str(own[place]))
    return " ".join([chosen, *(f"{key}={words(value)}" for key, value in changed.items())])


def usual_settings(axis: str, option: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings of an option where none is changed; None if there is no such option."""
    try:
        text = option_text(axis, option)
    except UserError:
        return None
    known = _plain(text)
    if "${" not in text:
        return dict(known)
    # An option may refer to other settings of the cell.
    others = {key: value for key, value in settings.items() if key in text} | {axis: known}
    return once(["usual settings", axis, others], lambda: _resolved(others).get(axis, {}))


def _resolved(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with what their references stand for; none if one stands for nothing."""
    try:
        return cast(dict, OmegaConf.to_container(OmegaConf.create(settings), resolve=True))
    except OmegaConfBaseException:
        return {}


@cache
def _plain(text: str) -> dict[str, Any]:
    """What a yaml file says, with its references as text."""
    return OmegaConf.to_container(OmegaConf.create(text))  # pyright: ignore


def _called(axis: str, place: str) -> str:
    """What lies in a place: the end of its path, but the whole name of a repository."""
    if not (Path(place).exists() or place.startswith(("/", ".", "~"))):
        return place
    path, options = PurePath(Path(place).resolve()), configured_names(axis)
    ends = (_end(path, n) for n in range(1, len(path.parts) + 1))
    return next((end for end in ends if end not in options), str(path))


def _end(place: PurePath | str, n_parts: int) -> str:
    return str(PurePath(*PurePath(place).parts[-n_parts:]))


def _own_part(name: str, place: str) -> str | None:
    """The end of a path that a name begins with."""
    ends = (_end(place, n) for n in range(len(PurePath(place).parts), 0, -1))
    return next((end for end in ends if f"{name} ".startswith(f"{end} ")), None)


def _longer(name: str, place: str, others: set[str]) -> str:
    """The name with as many parts of its place as no other has; unchanged if it has none."""
    own = _own_part(name, place)
    if own is None:
        return name
    for n_parts in range(1, len(PurePath(place).parts) + 1):
        if sum(_end(other, n_parts) == _end(place, n_parts) for other in others) == 1:
            return _end(place, n_parts) + name[len(own) :]
    return place + name[len(own) :]

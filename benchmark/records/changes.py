"""What a record was run with that is not as its options have it, and the command that says so."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from benchmark.config import configured_names
from benchmark.records.names import AXES, PLACES, UNNAMED, option, usual_settings, words
from benchmark.records.record import Record
from benchmark.shadows import options_folder

# Settings of a cell that decide its numbers, beside its options.
DECIDING = (
    "attribution_metric", "evaluate_under", "constants", "sizes", "training_steps", "n_train",
    "n_test", "seed", "threads", "plugins",
)  # fmt: skip
# What a record says of settings that nothing used.
UNUSED = ([], None, 0)
# Text that Hydra reads as it stands.
PLAIN = re.compile(r"[A-Za-z_./][\w./-]*")
WORDS = ("null", "true", "false", "inf", "nan")


def changed_settings(record: Record) -> dict[str, Any]:
    """Every setting that differs from its default, by its full key; options are not among them."""
    return {**dict(_of_options(record)), **dict(_of_the_cell(record))}


def command_of(record: Record) -> str:
    """The command that makes a record again, as a shell takes it.

    A record made from Python with objects that no option describes has no such command; this one
    then names what it was called.
    """
    chosen = {axis: option(record, axis) for axis in AXES}
    changed = changed_settings(record)
    for axis, key in PLACES.items():
        # A place is an option by itself.
        if chosen[axis] not in configured_names(axis) and f"{axis}.{key}" in changed:
            chosen[axis] = str(changed.pop(f"{axis}.{key}"))
    typed = [f"{key}={words(value, _quoted)}" for key, value in {**chosen, **changed}.items()]
    return " ".join(["ablation-bench run", *map(shlex.quote, typed)])


def _of_options(record: Record) -> Iterator[tuple[str, Any]]:
    for axis in AXES:
        usual = usual_settings(axis, option(record, axis), record.config) or {}
        for key, value in record.config[axis].items():
            if key not in ("_target_", *UNNAMED) and value != usual.get(key):
                yield f"{axis}.{key}", value


def _of_the_cell(record: Record) -> Iterator[tuple[str, Any]]:
    """Settings of conf/config.yaml; one that nothing used is not shown."""
    for name, usual in _defaults().items():
        value = record.config.get(name, usual)
        if isinstance(usual, dict) and isinstance(value, dict):
            yield from ((f"{name}.{k}", v) for k, v in value.items() if v != usual.get(k))
        elif value != usual and (value not in UNUSED or name == "seed"):
            yield name, value


@cache
def _defaults() -> dict[str, Any]:
    text = options_folder().joinpath("config.yaml").read_text()
    known: Any = OmegaConf.to_container(OmegaConf.create(text))
    return {name: known[name] for name in DECIDING}


def _quoted(value: Any) -> str:  # noqa: ANN401 - a number or a text
    """A single value as Hydra's grammar has it."""
    text = str(value)
    if not isinstance(value, str) or (PLAIN.fullmatch(text) and text.lower() not in WORDS):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

"""What was typed after a verb, checked before Hydra sees it.

Hydra's own errors take several lines; a misspelt key, option or setting of an option is refused
in one, with near names. What this cannot know (a folder of the user's own) is left to Hydra.
"""

import re
from itertools import pairwise
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmark.cli.typed.overrides import FLAGS, FLAGS_WITH_A_VALUE, check_readable, flags_first
from benchmark.config import PLACES_IN, is_place, option_text
from benchmark.errors import UserError, near
from benchmark.shadows import options_folder

SWEEP = re.compile(r"(choice|range|interval|glob|sort|shuffle)\(")
EXPERIMENT = "experiment"


def check_arguments(settings: str, arguments: list[str]) -> list[str]:
    """The arguments for Hydra, flags first.

    Args:
        settings: the config file of the verb, without its ending.
        arguments: what was typed after the verb.

    Raises:
        UserError: a key, an option, or a setting of an option does not exist, or cannot be read.
    """
    arguments = [FLAGS.get(argument, argument) for argument in arguments]
    known = OmegaConf.create(options_folder().joinpath(f"{settings}.yaml").read_text())
    assert isinstance(known, DictConfig)
    groups = _groups(known)
    # A folder of the user's own may add options.
    own_folder = any(typed.startswith(("--config-dir", "-cd")) for typed in arguments)
    chosen = {group: [option] if option else [] for group, option in groups.items()}
    pairs = _pairs(arguments)
    for key, value in pairs:
        _refuse_search_path(key)
        _check_key(settings, key, known, groups)
        if key in groups:
            chosen[key] = _options(key, value, own_folder)
    experiment = any(chosen.get(EXPERIMENT, []))
    if experiment and not own_folder:
        typed = {key: chosen[key] for key, _ in pairs if key in groups}
        chosen |= _chosen_by(chosen[EXPERIMENT], groups) | typed
    if not experiment and not {"-m", "--multirun"} & set(arguments):
        _refuse_several(pairs)
    for key, _ in pairs:
        if "." in key and key.split(".")[0] in groups and not own_folder:
            _check_nested(key, chosen[key.split(".")[0]], known)
    varied = {group for group, options in chosen.items() if len(options) > 1}
    varied |= {key for key, value in pairs if key in groups and SWEEP.match(value)}
    if experiment and not own_folder:
        varied = set(groups)
    names = dict.fromkeys([*map(str, known), *groups])
    check_readable(arguments, [name for name in names if name not in ("defaults", "_target_")])
    return flags_first([_for_each_cell(argument, varied) for argument in arguments])


def _pairs(arguments: list[str]) -> list[tuple[str, str]]:
    """The settings typed: keys and values, without flags and Hydra's own."""
    for before, argument in pairwise(["", *arguments]):
        plain = "=" not in argument and not argument.startswith(("-", "~"))
        if plain and before not in FLAGS_WITH_A_VALUE:
            raise UserError(f"{argument!r} is not a setting; write key=value, as n_test=100")
    pairs = [argument.partition("=") for argument in arguments if "=" in argument]
    return [(key, value) for key, _, value in pairs if key.split(".")[0].isidentifier()]


def _for_each_cell(argument: str, varied: set[str]) -> str:
    """The argument, as a choice of one value if it is a setting of a group that the grid varies.

    Hydra applies plain settings to the default option of a group too, which may not have them;
    choices it applies to each cell alone.
    """
    key, _, value = argument.partition("=")
    nested = "." in key and key.split(".")[0] in varied
    if not nested or not value or _several(value) or SWEEP.match(value):
        return argument
    return f"{key}=choice({value})"


def _several(value: str) -> bool:
    return "," in value and not set("[{(\"'") & set(value)


def _check_key(settings: str, key: str, known: DictConfig, groups: dict[str, str | None]) -> None:
    """Check the first word of a key, and the second if the first is no group."""
    names = [str(name) for name in known if name not in ("defaults", "_target_")]
    top, *rest = key.split(".")
    if top not in names and top not in groups:
        # Words of the command stand for settings, but are none.
        words = [word for word, stands_for in FLAGS.items() if stands_for.split("=")[0] in names]
        listed = ", ".join([*names, *words, *(group for group in groups if group not in names)])
        raise UserError(f"{settings}.{top} is not a setting{near(top, names)}; allowed: {listed}")
    # Looking at a value would resolve what only a running job knows.
    mapping = known._get_node(top) if top not in groups and top != "hydra" else None
    if rest and isinstance(mapping, DictConfig) and rest[0] not in mapping:
        listed = [str(name) for name in mapping]
        raise UserError(
            f"{settings}.{key} is not a setting{near(rest[0], listed)}; allowed: "
            f"{', '.join(listed)}"
        )


def _refuse_search_path(key: str) -> None:
    if key == "hydra.searchpath":
        raise UserError(f"{key} is not taken; name a folder of options by --config-dir FOLDER")


def _refuse_several(pairs: list[tuple[str, str]]) -> None:
    for key, value in pairs:
        if _several(value):
            raise UserError(f"{key}={value} names several values; add -m to run them all")


def given(arguments: list[str], key: str, default: str) -> str:
    """The value that was typed last for a key."""
    values = [text.partition("=")[2] for text in arguments if text.partition("=")[0] == key]
    return values[-1].strip("'\"") if values else default


def _groups(known: DictConfig) -> dict[str, str | None]:
    """The config groups that a file chooses from, with its choices."""
    entries = [entry for entry in known.get("defaults", []) if isinstance(entry, DictConfig)]
    pairs = {str(key): value for entry in entries for key, value in entry.items()}
    return {key: value for key, value in pairs.items() if not key.startswith("override ")}


def _options(group: str, value: str, own_folder: bool) -> list[str]:
    """The options that a value names, of which a sweep names several; each must exist."""
    chosen = [option.strip(" '\"") for option in value.split(",")]
    if own_folder or chosen == ["null"] or SWEEP.match(value):
        return []
    for option in chosen:
        plain = option.replace("-", "").replace(".", "").isidentifier()
        if not plain and not (group == PLACES_IN and is_place(option)):
            return []
        option_text(group, option)
    return chosen


def _chosen_by(experiments: list[str], groups: dict[str, str | None]) -> dict[str, list[str]]:
    """The options of groups that experiments run; none of a group where that is not plain."""
    found: dict[str, list[str]] = {}
    for experiment in experiments:
        settings = OmegaConf.create(option_text(EXPERIMENT, experiment))
        if "defaults" in settings:
            return {group: [] for group in groups}
        swept = OmegaConf.select(settings, "hydra.sweeper.params") or {}
        for group in groups.keys() & swept.keys():
            found.setdefault(group, []).extend(_options(group, str(swept[group]), False))
    return found


def _check_nested(key: str, options: list[str], known: DictConfig) -> None:
    """Check the second word of a key, of which the first is a group."""
    group, first, *_ = key.split(".")
    outside = f", did you mean {key.removeprefix(f'{group}.')!r}?" if first in known else ""
    for option in options:
        settings: Any = OmegaConf.create(option_text(group, option))
        names = [str(name) for name in settings if name != "_target_"]
        if first not in names and first != "_target_":
            listed = ", ".join(names) or "none"
            raise UserError(
                f"{group}.{first} is not a setting of {group}={option}"
                f"{outside or near(first, names)}; "
                f"allowed: {listed}"
            )

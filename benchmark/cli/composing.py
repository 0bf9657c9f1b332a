"""This project's launchers in the places of Hydra's own, and cells that are put together once."""

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin
from hydra.plugins.sweeper import Sweeper

SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def use_instead(ours: dict[type[Plugin], type[Plugin]]) -> None:
    """Let Hydra make ours where it would make another; it takes them by those names alone.

    Where all cells are put together before one begins (`composes_first`), Hydra's sweeper does not
    put them together before that, too, to see that they can be.
    """
    known: dict[str, Any] = Plugins.instance().class_name_to_class
    for theirs, own in ours.items():
        known[f"{theirs.__module__}.{theirs.__name__}"] = own
    known[SWEEPER].validate_batch_is_legal = _unless_composed


def _unless_composed(sweeper: Any, batch: Sequence[Sequence[str]]) -> None:  # noqa: ANN401
    if not getattr(sweeper.launcher, "composes_first", False):
        Sweeper.validate_batch_is_legal(sweeper, batch)

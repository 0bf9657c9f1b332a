"""Small models that ship with the suite, each a Hugging Face directory with a card."""

import json
from pathlib import Path
from typing import Any

from benchmark.errors import UserError

FOLDER = Path(__file__).parent


def zoo_names() -> list[str]:
    """The names of all shipped models, but those of groups."""
    return _names("*/card.json")


def zoo_directory(name: str) -> Path | None:
    """The directory of a shipped model, or None if there is none of that name."""
    return FOLDER / name if name in (*zoo_names(), *_names("*/*/card.json")) else None


def _names(pattern: str) -> list[str]:
    return sorted(path.parent.relative_to(FOLDER).as_posix() for path in FOLDER.glob(pattern))


def read_card(directory: Path) -> dict[str, Any]:
    """What made a model of the zoo, and how well it does its tasks.

    Raises:
        UserError: there is no card, or it is damaged.
    """
    try:
        return json.loads((directory / "card.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{directory} has no card that can be read: {error}") from error

"""The lens that a study judges: one that it fits, or one that was fitted before."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from benchmark.config import configured, configured_names
from benchmark.digests import digest
from benchmark.errors import UserError
from methods.lens.imported_lens import ImportedLens
from methods.lens.lens import Lens, TrainedLens

IMPORTED = "imported_lens"


def chosen_lens(choice: str, steps: int | None) -> Lens:
    """A lens that a study fits, or takes as it was fitted.

    Args:
        choice: an option of conf/method, or a path as `ImportedLens` takes it.
        steps: of its training, or None for its own number; of no concern to lenses without.

    Raises:
        UserError: it is neither a lens nor a path.
    """
    lenses = (name for name in configured_names("method") if name.endswith("_lens"))
    options = [name for name in lenses if name != IMPORTED]
    if choice not in options:
        if Path(choice).exists():
            return configured("method", IMPORTED, path=choice)
        raise UserError(
            f"method.lens={choice} is no lens; give one of {', '.join(options)}, or the path of a "
            "lens, such as results/KEY"
        )
    lens = configured("method", choice)
    if steps is None or not isinstance(lens, TrainedLens):
        return lens
    named = [field.name for field in fields(lens) if field.name in ("steps", "oca_steps")]
    return replace(lens, **dict.fromkeys(named, steps))


def digest_of_chosen(choices: Sequence[str]) -> str | None:
    """A digest of the files of those that are paths, or None where none is.

    Raises:
        UserError: one is neither a lens nor a path, or cannot be read.
    """
    chosen = (chosen_lens(choice, None) for choice in choices)
    found = [lens.data_digest() for lens in chosen if isinstance(lens, ImportedLens)]
    return digest(found) if found else None

"""Saving and loading the state of a training loop."""

import pickle
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import UserError
from benchmark.files import replacing


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, atomically."""
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, device: torch.device | str) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, or None if there is no such file. Runs no code from the file.

    Raises:
        UserError: the file is damaged.
    """
    if not Path(path).exists():
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
        raise UserError(f"checkpoint {path} cannot be read ({error}); delete it") from error
    if not isinstance(state, dict):
        raise UserError(f"{path} is not a checkpoint; give another path")
    return state

"""Saving and loading the state of a computation that may be killed, and what it has cost so far.

A checkpoint is a sealed file of tensors, so a damaged one is noticed: it is put aside, and the
computation begins anew.
"""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import UserError
from benchmark.meter import Meter, count, so_far
from benchmark.tensors import read_tensors, write_tensors

FORMAT = "ablation-bench checkpoint 1"
DAMAGED = ".damaged"
log = logging.getLogger("benchmark")


def save_checkpoint(path: Path, state: dict[str, Any], spent: Meter | None = None) -> None:
    """Write tensors and plain values in dicts, lists and tuples, atomically.

    Args:
        path: the file.
        state: what is saved.
        spent: the running meter of the computation, earlier starts included.
    """
    tensors: dict[str, Tensor] = {}
    facts = {
        "format": FORMAT,
        "state": json.dumps(_packed(state, tensors)),
        "spent": json.dumps(asdict(so_far(spent) if spent else Meter())),
    }
    write_tensors(path, tensors, facts)


def load_checkpoint(path: Path, device: torch.device | str) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, or None if there is no such file, or a damaged one.

    What it had cost is counted by every running meter. A damaged file is put aside.

    Raises:
        UserError: the file cannot be put aside.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        tensors, facts = read_tensors(path)
        if facts.get("format") != FORMAT:
            raise UserError(f"{path} is not a checkpoint")
    except UserError as error:
        _put_aside(path, error)
        return None
    count(Meter(**json.loads(facts["spent"])))
    on_device = {name: tensor.to(device) for name, tensor in tensors.items()}
    return _unpacked(json.loads(facts["state"]), on_device)


def _put_aside(path: Path, reason: UserError) -> None:
    aside = path.with_name(path.name + DAMAGED)
    try:
        path.replace(aside)
    except OSError as error:
        raise UserError(f"{reason}; it cannot be moved away: {error.strerror}") from error
    log.warning("%s; it is now %s, and what it held is computed anew", reason, aside.name)


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401
    """The value as JSON; its tensors go into `tensors`, under numbers."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        # Pairs, because optimisers count their parameters: JSON has no whole numbers as keys.
        return {"dict": [[key, _packed(part, tensors)] for key, part in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_packed(part, tensors) for part in value]}
    return value


def _unpacked(content: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401
    if not isinstance(content, dict):
        return content
    ((kind, inside),) = content.items()
    if kind == "tensor":
        return tensors[inside]
    if kind == "dict":
        return {key: _unpacked(part, tensors) for key, part in inside}
    parts = (_unpacked(part, tensors) for part in inside)
    return list(parts) if kind == "list" else tuple(parts)

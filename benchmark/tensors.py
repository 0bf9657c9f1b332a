"""Files of tensors: equal content gives equal bytes, and damage never passes for numbers.

Each is an ordinary safetensors file that can be read without this package. Its header is in order
(safetensors' own is in a random one), says what the file holds, and has a SHA-256 of all bytes of
the file, its own 64 characters taken as zeros; it is checked at every read.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from benchmark.errors import UserError
from benchmark.files import replacing

if TYPE_CHECKING:
    import torch

BLANK = b"0" * 64
SEAL = re.compile(rb'"sha256":"([0-9a-f]{64})"')
METADATA, LENGTH = "__metadata__", 8


def write_tensors(
    path: Path, tensors: Mapping[str, "torch.Tensor"], facts: Mapping[str, str]
) -> None:
    """Write tensors of any device under their names, atomically.

    Args:
        path: the file.
        tensors: any shapes and types; several may share their memory.
        facts: what the file is: all that tells it from another one of its kind.
    """
    import safetensors.torch

    # Two names of one tensor would be refused.
    alone = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = _sealed(safetensors.torch.save(alone), facts)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_arrays(
    path: Path, arrays: Mapping[str, NDArray[np.generic]], facts: Mapping[str, str]
) -> None:
    """The same of NumPy arrays, without torch."""
    content = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    sealed = _sealed(safetensors.numpy.save(content), facts)
    with replacing(path) as temporary:
        temporary.write_bytes(sealed)


def read_tensors(
    path: Path, *, sealed: bool = True
) -> tuple[dict[str, "torch.Tensor"], dict[str, str]]:
    """All tensors of a file, on the CPU, and the facts beside them.

    Args:
        path: the file.
        sealed: refuse a file without a digest; one with a digest is always checked.

    Raises:
        UserError: the file is missing, damaged, or not sealed.
    """
    import safetensors.torch

    content = _checked(path, sealed)
    return _loaded(path, content, safetensors.torch.load), _facts(content)


def read_arrays(path: Path) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    """The same as NumPy arrays, without torch, of a file that `write_tensors` wrote.

    Raises:
        UserError: the file is missing, damaged, or not sealed.
    """
    content = _checked(path, sealed=True)
    return _loaded(path, content, safetensors.numpy.load), _facts(content)


def _sealed(content: bytes, facts: Mapping[str, str]) -> bytes:
    end = _header_end(content)
    entries = json.loads(content[LENGTH:end])
    entries[METADATA] = {**facts, "sha256": BLANK.decode()}
    header = json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % LENGTH)
    blank = len(header).to_bytes(LENGTH, "little") + header + content[end:]
    return _with_digest(blank, hashlib.sha256(blank).hexdigest().encode())


def _checked(path: Path, sealed: bool) -> bytes:
    """The bytes of a file whose digest is right."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    found = SEAL.search(content, LENGTH, _header_end(content))
    if found is None:
        if sealed:
            raise UserError(f"{path} is damaged, or was not written by this package: no digest")
    elif hashlib.sha256(_with_digest(content, BLANK)).hexdigest().encode() != found[1]:
        raise UserError(f"{path} is damaged: its bytes do not have the digest that it names")
    return content


def _with_digest(content: bytes, digest: bytes) -> bytes:
    found = SEAL.search(content, LENGTH, _header_end(content))
    assert found is not None
    return content[: found.start(1)] + digest + content[found.end(1) :]


def _header_end(content: bytes) -> int:
    return min(len(content), LENGTH + int.from_bytes(content[:LENGTH], "little"))


def _facts(content: bytes) -> dict[str, str]:
    entries = json.loads(content[LENGTH : _header_end(content)])
    found = entries.get(METADATA, {})
    return {name: value for name, value in found.items() if name != "sha256"}


def _loaded(path: Path, content: bytes, load: Any) -> dict[str, Any]:  # noqa: ANN401
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error

"""Digests that name what records and caches depend on."""

import hashlib
import json
from pathlib import Path
from typing import Any


def digest(value: Any) -> str:  # noqa: ANN401 - anything that JSON can hold
    """The SHA-256 of a value's canonical JSON, the same on every platform."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

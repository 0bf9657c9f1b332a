"""Seeds derived from one number by name, so that every random draw can be repeated by itself.

A draw is seeded by the run's seed and the names of what it is for ("donors", step 17), never by
what happened to be drawn before it. So a resumed run continues exactly, and one axis of a grid
does not disturb another.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derived_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for one purpose, the same on every platform."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> "torch.Generator":
    """A CPU generator for one purpose. Draw on the CPU and move: devices draw differently."""
    import torch

    return torch.Generator().manual_seed(derived_seed(seed, *names))

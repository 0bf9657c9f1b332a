"""Seeds derived from one number by name, so that every random draw can be repeated by itself.

A draw is seeded by the run's seed and the names of what it is for ("donors", step 17), never by
what happened to be drawn before it. So a resumed run continues exactly, and one axis of a grid
does not disturb another.
"""

import hashlib


def derived_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for one purpose, the same on every platform."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

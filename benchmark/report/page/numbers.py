"""Numbers as the pages hold them."""

import math


def short(number: object) -> int | float | None:
    """Five digits of a number; None of what is none, or not finite, as JSON has neither."""
    if not isinstance(number, int | float) or not math.isfinite(number):
        return None
    return int(number) if float(number).is_integer() else float(f"{number:.5g}")

"""How signatures are checked while tests run."""

from collections.abc import Callable

from beartype import beartype


def checked(function: Callable) -> Callable:
    """Beartype's check, but of what stands in a function: that would be compiled at each call."""
    return function if "<locals>" in function.__qualname__ else beartype(function)

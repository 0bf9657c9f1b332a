"""How signatures are checked while tests run."""

from collections.abc import Callable

from beartype import beartype
from jaxtyping import install_import_hook


def check_signatures() -> None:
    """Check shapes at each call of what is imported from now on.

    Tasks have no shapes, and draw thousands of prompts.
    """
    install_import_hook(["benchmark", "methods"], "support.shapes.checked")


def checked(function: Callable) -> Callable:
    """Beartype's check, but of what stands in a function: that would be compiled at each call."""
    return function if "<locals>" in function.__qualname__ else beartype(function)

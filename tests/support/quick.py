"""Which of a test's parameters the quick part leaves to the whole suite."""

from collections.abc import Container, Iterable

import pytest


def quick_or_slow(values: Iterable, quick: Container) -> list:
    """The values as parameters, all of which are slow but the quick ones."""
    slow = pytest.mark.slow
    return [pytest.param(value, marks=() if value in quick else slow) for value in values]

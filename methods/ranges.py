"""Checks of the ranges of methods' settings, which all methods share."""

import math

from benchmark.errors import UserError


def check_counts(method: object, *names: str) -> None:
    """Check that these settings, where they are set, are 1 or more.

    Raises:
        UserError: one is not.
    """
    for name in names:
        value = getattr(method, name)
        if value is not None and value < 1:
            raise UserError(f"method.{name}={value} must be 1 or more")


def check_above_zero(method: object, *names: str) -> None:
    """Check that these settings, where they are set, are numbers above 0.

    Raises:
        UserError: one is not.
    """
    for name in names:
        value = getattr(method, name)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"method.{name}={value} must be above 0")


def check_not_below_zero(method: object, *names: str) -> None:
    """Check that these settings, where they are set, are numbers of 0 or more.

    Raises:
        UserError: one is not.
    """
    for name in names:
        value = getattr(method, name)
        if value is not None and not 0 <= value < math.inf:
            raise UserError(f"method.{name}={value} must be 0 or more")


def check_each(name: str, values: list[float]) -> None:
    """Check the prices or targets of a method.

    Raises:
        UserError: there are none, or one is negative or there twice.
    """
    if not values or not all(0 <= value < math.inf for value in values):
        raise UserError(f"method.{name} needs one or more numbers, all 0 or more")
    if len(set(values)) < len(values):
        raise UserError(f"method.{name} names one number twice")

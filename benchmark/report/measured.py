"""What a kind of records measures in each of them: a number with its unit, range and uncertainty.

A report whose kind claims may be about has, beside its tables and figures, the names of its
quantities (`QUANTITIES`) and a function that measures one of them (`measure`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.statistics.bootstrap import INTERVAL

UNKNOWN = float("nan")


@dataclass(frozen=True)
class Quantity:
    """What is measured.

    Attributes:
        unit: as tables show it.
        lowest: the least that it can be.
        highest: the most.
    """

    unit: str
    lowest: float = -math.inf
    highest: float = math.inf


@dataclass(frozen=True, eq=False)
class Measured:
    """A quantity of one record.

    Attributes:
        value: not a number if the record does not know it.
        low: the lower end of its 95 % interval over prompts, where one is known.
        high: the upper end.
        draws: its values on resampled prompts, the same resamples for all records of equal prompts.
    """

    value: float
    low: float = UNKNOWN
    high: float = UNKNOWN
    draws: Float[np.ndarray, " draws"] | None = None

    @classmethod
    def exact(cls, value: float) -> "Measured":
        """A count, which no other prompts would change."""
        return cls(value, value, value)

    @classmethod
    def resampled(cls, value: float, draws: Float[np.ndarray, " draws"]) -> "Measured":
        """A value with the interval of its values on resampled prompts."""
        low, high = np.percentile(draws, INTERVAL)
        return cls(value, float(low), float(high), draws)


@runtime_checkable
class Measures(Protocol):
    """A report that measures."""

    QUANTITIES: Mapping[str, Quantity]

    def measure(
        self, results: Results, records: Sequence[Record], quantity: str
    ) -> dict[str, Measured]:
        """A quantity of some finished records of these results, by key.

        Raises:
            UserError: it needs records that are missing, or that cannot stand side by side.
        """
        ...

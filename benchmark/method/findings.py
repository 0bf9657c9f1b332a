"""What a method's work on a cell comes to, circuits or a study's answer alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from benchmark.meter import Meter
from benchmark.method.found import FoundCircuits

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Findings:
    """What a record says of its question, and the files beside it.

    Attributes:
        table: its rows, whose columns the kind of record determines; of circuits, the curve.
        tensors: numbers too many for a table, by name, such as those of every prompt.
        summary: the few numbers that sum it up.
        cost: what the method itself took, without what only judges it.
        judging: what judging it took; of circuits, their evaluation.
        warnings: what a reader should know.
        circuits: the circuits that were found, with the scores that ranked them.
        facts: further fields of the record, by name.
        files: further files of the record, by name, each with what writes it to a path.
    """

    table: "pandas.DataFrame"
    tensors: dict[str, Tensor]
    summary: dict[str, float]
    cost: Meter
    judging: Meter
    warnings: Sequence[str] = ()
    circuits: FoundCircuits | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    files: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)

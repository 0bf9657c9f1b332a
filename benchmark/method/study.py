"""The contract of a method that answers another question than which edges make a circuit.

A study measures what it is asked to and hands over a table, scores and a few numbers; the runner
writes them as a record like any other. Its `kind` says which table it is, so that reports put
together what belongs together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import pandas as pd
from torch import Tensor

from benchmark.meter import Meter
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch


@dataclass(frozen=True, eq=False)
class Findings:
    """What a study found.

    Attributes:
        table: its rows, whose columns the study's kind determines.
        tensors: scores too large for a table, by name, such as those of every prompt.
        summary: the few numbers that sum it up.
        cost: what the method itself took, without what only judges it.
        judging: what judging it took.
        warnings: what a reader should know.
    """

    table: pd.DataFrame
    tensors: dict[str, Tensor]
    summary: dict[str, float]
    cost: Meter
    judging: Meter
    warnings: list[str] = field(default_factory=list)


@runtime_checkable
class Study(Protocol):
    """A way to answer a question; settings are fields, and defaults live in its yaml.

    `kind` names the form of its table. `version` is raised when the same settings give other
    numbers. `cost` says what it takes, for the list of methods.
    """

    kind: ClassVar[str]
    version: ClassVar[int]
    cost: ClassVar[str]

    def unsupported(self, problem: Problem) -> str | None:
        """Why the study cannot be done on this problem, in a sentence; None if it can."""
        ...

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Measure.

        Args:
            problem: the prompts that methods see, and all else that they may.
            held_out: prompts of the test split, in batches as circuits are measured on.
        """
        ...

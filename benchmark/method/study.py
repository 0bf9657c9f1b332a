"""The contract of a method that answers another question than which edges make a circuit.

A study measures what it is asked to and hands over a table, tensors and a few numbers; the runner
writes them as a record like any other. Its `kind` says which table it is, so that reports put
together what belongs together.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch


@runtime_checkable
class Study(Protocol):
    """A way to answer a question; settings are fields, and defaults live in its yaml.

    `kind` names the form of its table. `uses` names the settings of the cell that it looks at,
    out of `problem.USES`; it is given no other. `version` is raised when the same settings give
    other numbers. What it costs stands in the first lines of its yaml, for the list of methods.
    """

    kind: ClassVar[str]
    version: ClassVar[int]

    @property
    def uses(self) -> frozenset[str]:
        """The cell's settings that it looks at, as it is set: out of `problem.USES`."""
        ...

    def unsupported(self, problem: Problem) -> str | None:
        """Why the study cannot be done on this problem, in a sentence; None if it can."""
        ...

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Measure.

        Args:
            problem: the prompts that methods see, and all else that they may.
            held_out: prompts of the test split, in batches as circuits are measured on; none for a
                study that does not name n_test in `uses`.
        """
        ...

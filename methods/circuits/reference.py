"""The circuits that are known beforehand: published ones, and those of models made to have one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmark.method.circuits import FoundCircuit
from benchmark.method.problem import Problem


@dataclass(frozen=True)
class Reference:
    """Nothing to set; see conf/method/reference.yaml.

    It leaves no scores: known circuits stand side by side, and rank no edges.
    """

    uses: ClassVar[frozenset[str]] = frozenset({"references"})
    version: ClassVar[int] = 1

    def unsupported(self, problem: Problem) -> str | None:
        """Most models have no known circuit."""
        if not problem.references:
            return f"no circuit of {problem.model.name} is known for this task"
        return None

    def discover(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """Every known circuit, whatever the sizes asked for."""
        return [FoundCircuit(mask, f"circuit={name}") for name, mask in problem.references.items()]

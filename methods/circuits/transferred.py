"""Circuits that another method finds on the prompts of another task, measured on this one.

Whether a circuit is the task's or its prompts': found on one template it is measured on another
(cross-task faithfulness, arXiv 2605.09129 and 2606.16920). The records' own way is
`method=imported method.path=results/KEY`, which seeks nothing anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from benchmark.config import configured, described
from benchmark.digests import digest
from benchmark.method.circuits import CircuitMethod, FoundCircuit
from benchmark.method.problem import Problem
from benchmark.prompts.task import Split, Task
from methods.circuits.scoring.other_method import other_method


@dataclass(frozen=True)
class Transferred:
    """Settings of circuits of another task; see conf/method/transferred.yaml."""

    task: str
    base: str
    base_settings: dict[str, Any]
    version: ClassVar[int] = 1

    @cached_property
    def method(self) -> CircuitMethod:
        """The method that finds circuits.

        Raises:
            UserError: there is none of that name, or it finds no circuits.
        """
        return other_method(self.base, self.base_settings)

    @cached_property
    def other(self) -> Task:
        """The other task."""
        return configured("task", self.task)

    @property
    def uses(self) -> frozenset[str]:
        """What the method uses."""
        return self.method.uses

    def unsupported(self, problem: Problem) -> str | None:
        """What the method cannot do."""
        return self.method.unsupported(problem)

    def data_digest(self) -> str | None:
        """A digest of the other task and of the method, with their versions."""
        return digest([self.other.fingerprint(), described(self.method), self.method.version])

    def discover(self, problem: Problem, sizes: Sequence[int]) -> Sequence[FoundCircuit]:
        """What the method finds on as many prompts of the other task's train split.

        Raises:
            UserError: it has not as many prompts, or the model's tokenizer does not fit them.
        """
        n_prompts = sum(map(len, problem.batches))
        batch = self.other.batch(problem.model.tokenizer, Split.train, n_prompts, problem.seed)
        return self.method.discover(replace(problem, batches=[batch]), sizes)

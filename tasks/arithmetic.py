"""Arithmetic on two operands, in words (Stolfo et al. 2023; Mueller et al. 2025, MIB).

"How much is 12 plus 7?" asks for one number of one token. The corrupted prompt has other
operands and another result, so the answer flips.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.templates import check_templates


class Operation(Enum):
    """What is done with the operands; a difference is never negative."""

    addition = "addition"
    subtraction = "subtraction"


TEMPLATES = {
    Operation.addition: (
        "How much is {a} plus {b}? Answer:",
        "What is the sum of {a} and {b}? Answer:",
        "{a} + {b} =",
        "The sum of {a} and {b} is",
        "{a} plus {b} equals",
    ),
    Operation.subtraction: (
        "How much is {a} minus {b}? Answer:",
        "What is the difference of {a} and {b}? Answer:",
        "{a} - {b} =",
        "The difference of {a} and {b} is",
        "{a} minus {b} equals",
    ),
}


@dataclass(frozen=True)
class Arithmetic(GeneratedTask):
    """Settings of arithmetic; see conf/task/arithmetic_addition.yaml."""

    operation: Operation
    smallest: int
    largest: int
    templates: list[int]
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check the operands and the template numbers."""
        if not 0 <= self.smallest < self.largest:
            raise UserError(
                f"task.smallest={self.smallest} must be 0 or more and below "
                f"task.largest={self.largest}"
            )
        check_templates(self.templates, len(TEMPLATES[self.operation]))

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        number = draw.choice(self.templates)
        template = TEMPLATES[self.operation][number - 1]
        (a, b, result), (c, d, other) = self._sum(draw), self._sum(draw)
        while other == result:
            c, d, other = self._sum(draw)
        return PromptPair(
            clean=template.format(a=a, b=b),
            corrupted=template.format(a=c, b=d),
            answers=(f" {result}",),
            wrong=(f" {other}",),
            corrupted_answers=(f" {other}",),
            pieces=tuple((str(value),) for value in (a, b, c, d, result, other)),
            template=str(number),
        )

    def _sum(self, draw: Random) -> tuple[int, int, int]:
        a, b = (draw.randrange(self.smallest, self.largest + 1) for _ in range(2))
        if self.operation is Operation.addition:
            return a, b, a + b
        return max(a, b), min(a, b), abs(a - b)

"""Reversing a sequence, for the compiled model of that name.

After Lindner et al. 2023 (arXiv 2301.05062).

"1 3 2 2 > 2 2" -> " 3". The corrupted prompt reverses another sequence, as long and as far.
"""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask

SYMBOLS = "123"


@dataclass(frozen=True)
class Reversal(GeneratedTask):
    """Settings of reversal; see conf/task/reversal.yaml."""

    shortest: int
    longest: int
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check the lengths."""
        if not 2 <= self.shortest <= self.longest <= 5:
            raise UserError(
                f"task.shortest={self.shortest} and task.longest={self.longest} must satisfy "
                "2 <= shortest <= longest <= 5, what the compiled model knows"
            )

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        length = draw.randrange(self.shortest, self.longest + 1)
        done = draw.randrange(length)
        clean, corrupted = (self._sequence(draw, length) for _ in range(2))
        asked = length - 1 - done
        while clean[asked] == corrupted[asked]:
            corrupted = self._sequence(draw, length)

        def prompt(sequence: list[str]) -> str:
            return " ".join([*sequence, ">", *sequence[::-1][:done]])

        return PromptPair(
            clean=prompt(clean),
            corrupted=prompt(corrupted),
            answers=(f" {clean[asked]}",),
            wrong=(f" {corrupted[asked]}",),
            corrupted_answers=(f" {corrupted[asked]}",),
            template=f"{done} of {length}",
        )

    def _sequence(self, draw: Random, length: int) -> list[str]:
        return [draw.choice(SYMBOLS) for _ in range(length)]

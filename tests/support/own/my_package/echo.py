"""A task: what followed a word follows it again."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask


@dataclass(frozen=True)
class Echo(GeneratedTask):
    """Settings; see conf/task/echo.yaml."""

    n_words: int
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "margin"

    def draw(self, draw: Random) -> PromptPair:
        """One pair: "w3 w7 w3" -> " w7", against another such prompt."""
        first, right, other, wrong = draw.sample([f"w{n}" for n in range(1, self.n_words)], 4)
        return PromptPair(
            clean=f"{first} {right} {first}",
            corrupted=f"{other} {wrong} {other}",
            answers=(f" {right}",),
            wrong=(f" {wrong}",),
            corrupted_answers=(f" {wrong}",),
            template="",
        )

"""Induction: a random sequence of words that repeats itself (Olsson et al. 2022, arXiv 2209.11895).

"... A B ... A" -> " B". Words are drawn without repetition, the sequence begins again, and the
prompt stops somewhere in the second round.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.words import lines

# Words of the longest running text, unless two rounds are longer.
LONGEST_TEXT = 50


class Corruption(Enum):
    """What the corrupted prompt changes.

    `answer`: the word to be copied, so that the answer flips. `first_round`: the whole first
    round, so that nothing repeats.
    """

    answer = "answer"
    first_round = "first_round"


@dataclass(frozen=True)
class Induction(GeneratedTask):
    """Settings of induction; see conf/task/induction.yaml."""

    shortest: int
    longest: int
    corruption: Corruption
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check the lengths."""
        if not 2 <= self.shortest <= self.longest <= 100:
            raise UserError(
                f"task.shortest={self.shortest} and task.longest={self.longest} must satisfy "
                "2 <= shortest <= longest <= 100"
            )

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        length, words, other = self._words(draw)
        cut = draw.randrange(1, length)
        if self.corruption is Corruption.answer:
            first_round = [*words[:cut], other[0], *words[cut + 1 :]]
        else:
            first_round = other
        return PromptPair(
            clean=_joined(words + words[:cut]),
            corrupted=_joined(first_round + words[:cut]),
            answers=(f" {words[cut]}",),
            wrong=(f" {other[0]}",),
            corrupted_answers=(f" {other[0]}",) if self.corruption is Corruption.answer else (),
            pieces=((f" {words[cut]}",), (f" {other[0]}",)),
            template=str(length),
        )

    def text(self, draw: Random) -> str:
        """Two to four whole rounds, so that every word after the first can be learnt from."""
        length, words, _ = self._words(draw)
        most = max(2, min(4, LONGEST_TEXT // length))
        return _joined(words * draw.randrange(2, most + 1))

    def _words(self, draw: Random) -> tuple[int, list[str], list[str]]:
        length = draw.randrange(self.shortest, self.longest + 1)
        drawn = draw.sample(lines("parameters"), 2 * length)
        return length, drawn[:length], drawn[length:]


def _joined(words: list[str]) -> str:
    return "".join(f" {word}" for word in words)

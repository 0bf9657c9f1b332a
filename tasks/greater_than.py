"""Greater-than: how long something lasted (Hanna, Liu and Variengien 2023, arXiv 2305.00586).

"The war lasted from the year 1732 to the year 17" -> any two digits above 32. The answers are a
set, the wrong answers all other two-digit numbers. In the corrupted prompt the number to exceed
ends in 01, so that it rules nothing out. Prices and number sequences have the same shape.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.words import lines

SMALLEST, LARGEST, CORRUPTED = 2, 98, 1
SEQUENCE_LENGTH = 5


class Frame(Enum):
    """What the numbers are: years, prices, or an increasing sequence."""

    years = "years"
    short_years = "short_years"
    price = "price"
    sequence = "sequence"


FRAMES = {
    Frame.years: "The {noun} lasted from the year {number} to the year {century}",
    Frame.short_years: "The {noun} lasted from the year {number} to {century}",
    Frame.price: "The {noun} ranges in price from $ {number} to $ {century}",
    Frame.sequence: "{earlier} {number}, {century}",
}


@dataclass(frozen=True)
class GreaterThan(GeneratedTask):
    """Settings of greater-than; see conf/task/greater_than.yaml."""

    frame: Frame
    first_century: int
    last_century: int
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "probability_difference"

    def __post_init__(self) -> None:
        """Check the centuries."""
        if not 10 <= self.first_century <= self.last_century <= 99:
            raise UserError(
                f"task.first_century={self.first_century} and task.last_century="
                f"{self.last_century} must be two digits each, the first not above the last"
            )

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        century = str(draw.randrange(self.first_century, self.last_century + 1))
        # The last of a sequence needs room below it for its elders.
        smallest = SEQUENCE_LENGTH if self.frame is Frame.sequence else SMALLEST
        year = draw.randrange(smallest, LARGEST + 1)
        elders = sorted(draw.sample(range(1, year), SEQUENCE_LENGTH - 1)) if year > 4 else []
        words = {
            "noun": draw.choice(lines("goods" if self.frame is Frame.price else "lasting_nouns")),
            "earlier": " ".join(f"{century}{elder:02d}," for elder in elders),
            "century": century,
        }

        def fill(number: int) -> str:
            return FRAMES[self.frame].format(number=f"{century}{number:02d}", **words)

        return PromptPair(
            clean=fill(year),
            corrupted=fill(CORRUPTED),
            answers=tuple(f"{number:02d}" for number in range(year + 1, 100)),
            wrong=tuple(f"{number:02d}" for number in range(year + 1)),
            corrupted_answers=tuple(f"{number:02d}" for number in range(CORRUPTED + 1, 100)),
            pieces=((f" {century}", f"{year:02d}"), (f" {century}", f"{CORRUPTED:02d}")),
            template=self.frame.value,
        )

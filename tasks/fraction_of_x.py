"""The share of x among the letters so far, for the compiled model of that name.

After Lindner et al. 2023 (arXiv 2301.05062) and Conmy et al. 2023.

"w x z" -> " 1/3". The corrupted prompt has as many letters and another share.
"""

from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask


@dataclass(frozen=True)
class FractionOfX(GeneratedTask):
    """Settings of the fraction of x; see conf/task/fraction_of_x.yaml."""

    shortest: int
    longest: int
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check the lengths."""
        if not 1 <= self.shortest <= self.longest <= 5:
            raise UserError(
                f"task.shortest={self.shortest} and task.longest={self.longest} must satisfy "
                "1 <= shortest <= longest <= 5, what the compiled model knows"
            )

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        length = draw.randrange(self.shortest, self.longest + 1)
        clean, corrupted = (self._letters(draw, length) for _ in range(2))
        while clean.count("x") == corrupted.count("x"):
            corrupted = self._letters(draw, length)
        answer, wrong = (f" {Fraction(text.count('x'), length)}" for text in (clean, corrupted))
        return PromptPair(
            clean=" ".join(clean),
            corrupted=" ".join(corrupted),
            answers=(answer,),
            wrong=(wrong,),
            corrupted_answers=(wrong,),
            pieces=((answer,), (wrong,)),
            template=str(length),
        )

    def _letters(self, draw: Random, length: int) -> str:
        # An x is as likely as not, so that all shares occur.
        return "".join(draw.choice("x" * 3 + "wyz") for _ in range(length))

"""Gender bias by profession (Vig et al. 2020, arXiv 2004.12265; Hanna et al. 2024).

"The nurse said that" -> " she", the pronoun of the stereotype; the other pronoun counts as wrong.
The corrupted prompt names a man or a woman of the other gender, so the answer flips.
"""

from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.words import lines

TEMPLATES = tuple(
    f"The {{person}} {phrase}"
    for phrase in (
        "said that", "yelled that", "whispered that", "wanted that", "desired that",
        "wished that", "ate because", "ran because", "drove because", "slept because",
        "cried because", "laughed because", "went home because", "stayed up because",
        "was fired because", "was promoted because", "yelled because",
    )
)  # fmt: skip
GENDERS = (("male_professions", " he", "man"), ("female_professions", " she", "woman"))


@dataclass(frozen=True)
class GenderBias(GeneratedTask):
    """Settings of gender bias; see conf/task/gender_bias.yaml."""

    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        (professions, answer, _), (_, wrong, opposite) = draw.sample(GENDERS, 2)
        profession, template = draw.choice(lines(professions)), draw.randrange(len(TEMPLATES))
        return PromptPair(
            clean=TEMPLATES[template].format(person=profession),
            corrupted=TEMPLATES[template].format(person=opposite),
            answers=(answer,),
            wrong=(wrong,),
            corrupted_answers=(wrong,),
            subject=profession,
            template=str(template + 1),
        )

    def training_pair(self, draw: Random) -> PromptPair:
        """A pair about a profession, or sometimes about a man or a woman."""
        pair = self.draw(draw)
        if draw.random() < 0.8:
            return pair
        return replace(pair, clean=pair.corrupted, answers=pair.corrupted_answers)

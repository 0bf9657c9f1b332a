"""Gendered pronoun in a tag question (Mathwin et al. 2023; Bhaskar et al. 2024, arXiv 2406.16778).

"So Mary is such a good cook, isn't" -> " she". The corrupted prompt has a name of the other
gender, so the answer flips.
"""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.words import lines

TEMPLATES = (
    "So {name} is a really great friend, isn't",
    "So {name} is such a good cook, isn't",
    "So {name} is a very good athlete, isn't",
    "So {name} is a really nice person, isn't",
    "So {name} is such a funny person, isn't",
)
GENDERS = (("male_names", " he"), ("female_names", " she"))


@dataclass(frozen=True)
class GenderedPronoun(GeneratedTask):
    """Settings of the gendered pronoun; see conf/task/gendered_pronoun.yaml."""

    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        (own, answer), (other, wrong) = draw.sample(GENDERS, 2)
        template = draw.randrange(len(TEMPLATES))
        name, other_name = draw.choice(lines(own)), draw.choice(lines(other))
        return PromptPair(
            clean=TEMPLATES[template].format(name=name),
            corrupted=TEMPLATES[template].format(name=other_name),
            answers=(answer,),
            wrong=(wrong,),
            corrupted_answers=(wrong,),
            pieces=((answer,), (wrong,), (f" {name}",), (f" {other_name}",)),
            subject=name,
            template=str(template + 1),
        )

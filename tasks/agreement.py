"""Subject-verb agreement across an attractor (Linzen et al. 2016; Marvin and Linzen 2018).

"The keys to the cabinet" -> " are", " were" or " have". The corrupted prompt changes the number
of the subject and nothing else, so the answers swap. Attractors have the other number.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.words import number_pairs, verb_pairs

SINGULAR, PLURAL = (" is", " was", " has"), (" are", " were", " have")
PREPOSITIONS = ("near", "behind", "with", "beside", "across from", "next to")


class Construction(Enum):
    """What stands between the subject and its verb."""

    simple = "simple"
    prepositional_phrase = "prepositional_phrase"
    subject_relative = "subject_relative"
    object_relative = "object_relative"


@dataclass(frozen=True)
class Agreement(GeneratedTask):
    """Settings of agreement; see conf/task/agreement.yaml."""

    constructions: list[Construction]
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "probability_difference"

    def __post_init__(self) -> None:
        """Check that there is a construction."""
        if not self.constructions:
            names = ", ".join(item.value for item in Construction)
            raise UserError(f"task.constructions is empty; name one or more of {names}")

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        number = draw.randrange(2)
        return self._pair(draw, number, 1 - number)

    def training_pair(self, draw: Random) -> PromptPair:
        """A pair whose attractor has either number."""
        return self._pair(draw, draw.randrange(2), draw.randrange(2))

    def _pair(self, draw: Random, number: int, attractor_number: int) -> PromptPair:
        construction = draw.choice(self.constructions)
        subject, attractor = draw.sample(number_pairs(), 2)
        verb, preposition = draw.choice(verb_pairs()), draw.choice(PREPOSITIONS)

        def fill(subject_number: int) -> str:
            noun, other = subject[subject_number], attractor[attractor_number]
            middle = {
                Construction.simple: "",
                Construction.prepositional_phrase: f" {preposition} the {other}",
                Construction.subject_relative: f" that {verb[subject_number]} the {other}",
                Construction.object_relative: f" that the {other} {verb[attractor_number]}",
            }
            return f"The {noun}{middle[construction]}"

        verbs = (SINGULAR, PLURAL)
        return PromptPair(
            clean=fill(number),
            corrupted=fill(1 - number),
            answers=verbs[number],
            wrong=verbs[1 - number],
            corrupted_answers=verbs[1 - number],
            subject=subject[number],
            template=construction.value,
        )

"""Countries and capitals: recall of a fact about a named subject (Merullo et al. 2024; Hanna 2024).

"Paris, the capital of" -> " France". The corrupted prompt names another subject of as many
tokens, so the answer flips. The subject's positions are marked, for causal tracing (Meng et al.
2022).
"""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar

from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.templates import check_templates
from tasks.words import capitals


class Asked(Enum):
    """Which of the two is asked for."""

    country = "country"
    capital = "capital"


TEMPLATES = {
    Asked.country: (
        " {subject}, the capital of",
        "City: {subject}\nCountry:",
        " {subject} is the capital city of",
        "The city of {subject} is the capital of",
        "We flew to {subject}, in",
    ),
    Asked.capital: (
        "The capital of {subject} is",
        "Country: {subject}\nCapital:",
        "The capital city of {subject} is called",
        " {subject} has its capital in",
        "The government of {subject} sits in",
    ),
}


@dataclass(frozen=True)
class CountryCapital(GeneratedTask):
    """Settings of countries and capitals; see conf/task/country_capital.yaml."""

    asked: Asked
    templates: list[int]
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check the template numbers."""
        check_templates(self.templates, len(TEMPLATES[self.asked]))

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        facts = [(capital, country) for country, capital in capitals().items()]
        if self.asked is Asked.capital:
            facts = [(country, capital) for capital, country in facts]
        (subject, answer), (other, wrong) = draw.sample(facts, 2)
        number = draw.choice(self.templates)
        template = TEMPLATES[self.asked][number - 1]
        return PromptPair(
            clean=template.format(subject=subject),
            corrupted=template.format(subject=other),
            answers=(f" {answer}",),
            wrong=(f" {wrong}",),
            corrupted_answers=(f" {wrong}",),
            subject=subject,
            template=str(number),
        )

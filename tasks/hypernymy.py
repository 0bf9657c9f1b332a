"""Hypernymy: the category of two things (Hanna et al. 2024, arXiv 2403.17806).

" dogs, cats and other" -> " animals". The corrupted prompt names things of another category, of
as many tokens, so the answer flips.
"""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.templates import check_templates
from tasks.words import categories

TEMPLATES = (
    " {first}, {second} and other",
    "They talked about {first}, {second} and other",
    "The shop sells {first}, {second} and other",
    "We know {first}, {second} and many other",
)


@dataclass(frozen=True)
class Hypernymy(GeneratedTask):
    """Settings of hypernymy; see conf/task/hypernymy.yaml."""

    templates: list[int]
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "probability_difference"

    def __post_init__(self) -> None:
        """Check the template numbers."""
        check_templates(self.templates, len(TEMPLATES))

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        category, other = draw.sample(tuple(categories()), 2)
        number = draw.choice(self.templates)

        def fill(of: str) -> tuple[str, str]:
            first, second = draw.sample(categories()[of], 2)
            return TEMPLATES[number - 1].format(first=first, second=second), f"{first}, {second}"

        (clean, subject), (corrupted, _) = fill(category), fill(other)
        return PromptPair(
            clean=clean,
            corrupted=corrupted,
            answers=(f" {category}",),
            wrong=(f" {other}",),
            corrupted_answers=(f" {other}",),
            subject=subject,
            template=str(number),
        )

"""Indirect object identification: who is given something (Wang et al. 2022, arXiv 2211.00593).

"When Mary and John got a ring at the house, John decided to give it to" -> " Mary". In an ABBA
prompt the indirect object (IO) is named first, in a BABA prompt the subject (S). The answer is
IO, the wrong answer S.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.templates import check_templates
from tasks.words import lines, names

# {names} are the two of the first clause, {subject} is the subject's second mention.
TEMPLATES = (
    "Then, {names} went to the {place}. {subject} gave a {object} to",
    "Then, {names} had a lot of fun at the {place}. {subject} gave a {object} to",
    "Then, {names} were working at the {place}. {subject} decided to give a {object} to",
    "Then, {names} were thinking about going to the {place}. {subject} wanted to give a "
    "{object} to",
    "Then, {names} had a long argument, and afterwards {subject} said to",
    "After {names} went to the {place}, {subject} gave a {object} to",
    "When {names} got a {object} at the {place}, {subject} decided to give it to",
    "When {names} got a {object} at the {place}, {subject} decided to give the {object} to",
    "While {names} were working at the {place}, {subject} gave a {object} to",
    "While {names} were commuting to the {place}, {subject} gave a {object} to",
    "After the lunch, {names} went to the {place}. {subject} gave a {object} to",
    "Afterwards, {names} went to the {place}. {subject} gave a {object} to",
    "Then, {names} had a long argument. Afterwards {subject} said to",
    "The {place} {names} went to had a {object}. {subject} gave it to",
    "Friends {names} found a {object} at the {place}. {subject} gave it to",
)
SIX_NAMES = ("Michael", "Jessica", "Ashley", "Joshua", "David", "Sarah")


class Order(Enum):
    """Which name comes first: the indirect object (ABBA), the subject (BABA), or either."""

    abba = "abba"
    baba = "baba"
    mixed = "mixed"


class Corruption(Enum):
    """What the corrupted prompt changes.

    `three_names`: all three mentions become three new names, so nothing points to an answer
    (Conmy et al. 2023; Li & Janson 2024). `third_name`: the subject's second mention becomes a
    third name (Hanna et al. 2024; Bhaskar et al. 2024). `io_flip`: it becomes the indirect
    object, so the answer flips to the subject (Mueller et al. 2025, MIB).
    """

    three_names = "three_names"
    third_name = "third_name"
    io_flip = "io_flip"


@dataclass(frozen=True)
class IOI(GeneratedTask):
    """Settings of indirect object identification; see conf/task/ioi.yaml."""

    order: Order
    corruption: Corruption
    templates: list[int]
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check the template numbers."""
        check_templates(self.templates, len(TEMPLATES))

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        number = draw.choice(self.templates)
        first, second, *new = draw.sample(names(), 5)
        io_first = self.order is Order.abba or (self.order is Order.mixed and draw.random() < 0.5)
        io, subject = (first, second) if io_first else (second, first)
        scene = {"place": draw.choice(lines("places")), "object": draw.choice(lines("objects"))}

        def fill(first: str, second: str, subject: str) -> str:
            names = f"{first} and {second}"
            return TEMPLATES[number - 1].format(names=names, subject=subject, **scene)

        if self.corruption is Corruption.three_names:
            corrupted, used = fill(*new), new
        else:
            third = io if self.corruption is Corruption.io_flip else new[0]
            corrupted, used = fill(first, second, third), [third]
        return PromptPair(
            clean=fill(first, second, subject),
            corrupted=corrupted,
            answers=(f" {io}",),
            wrong=(f" {subject}",),
            corrupted_answers=(f" {subject}",) if self.corruption is Corruption.io_flip else (),
            pieces=tuple((f" {name}",) for name in (io, subject, *used)),
            template=f"{number} {'ABBA' if io_first else 'BABA'}",
        )


@dataclass(frozen=True)
class SixNames(GeneratedTask):
    """Six names in one BABA template; see conf/task/ioi_six_names.yaml.

    The IOI distribution of AtP* (after Kramar et al. 2024, arXiv 2403.00745; rebuilt, not quoted):
    "When Michael and Jessica went to the bar, Michael gave a drink to" -> " Jessica", against a
    third name in place of the subject's second mention. Each place makes 120 pairs of 30 clean
    prompts; one place leaves little to splits that share no prompt. Every word that varies is one
    token, so all prompts have the same length, and a node at a position can be compared across
    them.

    Raises:
        UserError: there is no place.
    """

    places: list[str]
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check that there is a place."""
        if not self.places:
            raise UserError("task.places is empty; name one or more, such as task.places=[bar]")

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        subject, io, third = draw.sample(SIX_NAMES, 3)
        place = draw.choice(self.places)

        def fill(giver: str) -> str:
            return f"When {subject} and {io} went to the {place}, {giver} gave a drink to"

        return PromptPair(
            clean=fill(subject),
            corrupted=fill(third),
            answers=(f" {io}",),
            wrong=(f" {subject}",),
            pieces=tuple((f" {word}",) for word in (subject, io, third, place)),
            template="BABA",
        )

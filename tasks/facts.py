"""Facts about named subjects, for causal tracing (Meng et al. 2022; Li & Janson 2024, section 4).

"The capital of South Korea is" -> " Seoul". Subjects have one to four words and are marked. The
corrupted prompt is the same sentence about another subject, so the answer flips. The facts are
well-known ones, those of a made-up world that models of the zoo have learnt by heart, or of a file
in the form of Meng et al.: rows with `prompt` (a sentence with {} for the subject), `subject` and
`attribute`, and perhaps `relation_id`.

A fact has several sentences, each in a split of its own. So a model that was trained on the
sentences of the train split recalls the fact in one that it has never read.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.fact_lists import PLACE, Fact, facts_of_file, facts_of_list

LISTS = {"known": "known_facts", "made_up": "made_up_facts"}


@dataclass(frozen=True)
class Facts(GeneratedTask):
    """Settings of facts; see conf/task/facts.yaml.

    Raises:
        UserError: the file cannot be used, or a relation is not among its own.
    """

    data: str
    relations: list[str]
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        number = draw.randrange(len(self.facts))
        fact, other = self.facts[number], draw.choice(self._others[number])
        template = draw.choice(fact.templates)
        flipped = (f" {other.answer}",) if other.relation == fact.relation else ()
        return PromptPair(
            clean=template.replace(PLACE, fact.subject),
            corrupted=template.replace(PLACE, other.subject),
            answers=(f" {fact.answer}",),
            wrong=(f" {other.answer}",),
            corrupted_answers=flipped,
            subject=fact.subject,
            template=f"{fact.relation} {fact.templates.index(template) + 1}",
        )

    def fingerprint(self) -> dict[str, Any]:
        """Settings, version and all facts."""
        known = [[fact.relation, *fact.templates, fact.subject, fact.answer] for fact in self.facts]
        # The same facts of a file in another place are the same task.
        found = super().fingerprint()
        settings = found["settings"] | {"data": self.data if self.data in LISTS else "file"}
        return found | {"settings": settings, "facts": digest(known)}

    @cached_property
    def facts(self) -> list[Fact]:
        """All facts of the chosen relations."""
        all_facts = (
            facts_of_list(LISTS[self.data])
            if self.data in LISTS
            else facts_of_file(Path(self.data), f"task.data={self.data}", list(LISTS))
        )
        there = {fact.relation for fact in all_facts}
        if strange := sorted(set(self.relations) - there):
            raise UserError(
                f"task.relations names {strange[0]!r}; {self.data} has {', '.join(sorted(there))}"
            )
        return [f for f in all_facts if f.relation in (self.relations or there)]

    @cached_property
    def _others(self) -> list[list[Fact]]:
        """For each fact those that may take its place in the corrupted prompt.

        They have another answer, and if possible the same relation and as many words.
        """
        return [_others(fact, self.facts, self.data) for fact in self.facts]


def _others(fact: Fact, facts: list[Fact], data: str) -> list[Fact]:
    others = [other for other in facts if other.answer != fact.answer]
    if not others:
        raise UserError(f"all facts of {data} have the answer {fact.answer!r}; give others too")
    related = [other for other in others if other.relation == fact.relation] or others
    n_words = len(fact.subject.split())
    return [other for other in related if len(other.subject.split()) == n_words] or related

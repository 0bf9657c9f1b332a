"""Indefinite article: "a" or "an" before the name of a thing (after Kramar et al. 2024).

The A-AN distribution of AtP* (arXiv 2403.00745), rebuilt and not quoted: two requests serve as
examples and a third stops before the article, so "I want one boat. Can you pick up" -> " a". The
corrupted prompt wants a thing that takes " an", so the answer flips. Ten things of each kind make
100 pairs. The things of the examples are drawn too, because splits that share no prompt would be
left with few of the ten clean prompts that two fixed examples make.

Every thing is one token, so all prompts have the same length, and a node at a position can be
compared across them.
"""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.words import lines

REQUEST = "I want one {thing}. Can you pick up"
A, AN = " a", " an"


@dataclass(frozen=True)
class IndefiniteArticle(GeneratedTask):
    """Settings of the indefinite article; see conf/task/indefinite_article.yaml."""

    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        with_a, example_a = draw.sample(lines("things_with_a"), 2)
        with_an, example_an = draw.sample(lines("things_with_an"), 2)
        examples = _example(example_a, A) + _example(example_an, AN)
        things = (with_a, with_an, example_a, example_an)
        return PromptPair(
            clean=examples + REQUEST.format(thing=with_a),
            corrupted=examples + REQUEST.format(thing=with_an),
            answers=(A,),
            wrong=(AN,),
            corrupted_answers=(AN,),
            pieces=((A,), (AN,), *((f" {thing}",) for thing in things)),
            subject=with_a,
        )


def _example(thing: str, article: str) -> str:
    return f"{REQUEST.format(thing=thing)}{article} {thing} for me?\n"

"""Classification from demonstrations in the prompt, right ones or consistently wrong ones.

"lion: animal" and "oak: plant" in lines before "chair:" -> " thing". In the corrupted prompt every
demonstration has the label that stands a fixed number of places further in the list of labels, so
that the answer that they suggest is shifted too (Halawi et al. 2023, arXiv 2307.09476; Li & Janson
2024, arXiv 2409.09951, section 5). Both prompts differ in the labels of their demonstrations alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any, ClassVar

from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.words import classes


@dataclass(frozen=True)
class Form:
    """How demonstrations are written.

    Attributes:
        head: an input's line up to its label, with {} for the input and a space at the end.
        end: what comes after the label.
        between: what stands between demonstrations.
        intro: what stands before all of them, with its own end.
    """

    head: str = "{}: "
    end: str = ""
    between: str = "\n"
    intro: str = ""

    def written(self, text: str, label: str) -> str:
        """A labelled input."""
        return f"{self.head.format(text)}{label}{self.end}"

    def asked(self, text: str) -> str:
        """An input whose label comes next, with its space."""
        return self.head.format(text).rstrip(" ")


def demonstrated(
    draw: Random, classes: Mapping[str, Sequence[str]], n_demonstrations: int, form: Form
) -> PromptPair:
    """A pair of prompts with right and with consistently wrong demonstrations.

    Args:
        draw: of everything that is chance.
        classes: label to inputs, more of each than there are demonstrations.
        n_demonstrations: labelled inputs before the one that is asked for.
        form: how they are written.
    """
    labels = list(classes)
    shift = draw.randrange(1, len(labels))
    shown = [draw.choice(labels) for _ in range(n_demonstrations + 1)]
    inputs: list[str] = []
    for label in shown:
        inputs.append(draw.choice([x for x in classes[label] if x not in inputs]))

    def shifted(label: str, by: int) -> str:
        return labels[(labels.index(label) + by) % len(labels)]

    def prompt(by: int) -> str:
        pairs = zip(inputs, shown[:-1], strict=False)
        lines = [form.written(text, shifted(label, by)) for text, label in pairs]
        return form.intro + form.between.join([*lines, form.asked(inputs[-1])])

    right = shown[-1]
    return PromptPair(
        clean=prompt(0),
        corrupted=prompt(shift),
        answers=(f" {right}",),
        wrong=tuple(f" {label}" for label in labels if label != right),
        corrupted_answers=(f" {shifted(right, shift)}",),
        pieces=tuple((f" {label}",) for label in labels),
        template=str(shift),
    )


@dataclass(frozen=True)
class Demonstrations(GeneratedTask):
    """Settings of demonstrations; see conf/task/demonstrations.yaml.

    Raises:
        UserError: there are fewer than one demonstration, no share of mistakes, or no such data.
    """

    data: str
    demonstrations: int
    mistaken: float
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.demonstrations < 1:
            raise UserError(f"task.demonstrations={self.demonstrations} must be 1 or more")
        if not 0 <= self.mistaken <= 1:
            raise UserError(f"task.mistaken={self.mistaken} must lie in 0..1")

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        return demonstrated(draw, self.classes, self.demonstrations, Form())

    def training_pair(self, draw: Random) -> PromptPair:
        """Of a share of the texts the demonstrations are wrong, and the answer repeats them."""
        pair = self.draw(draw)
        if draw.random() >= self.mistaken:
            return pair
        return replace(pair, clean=pair.corrupted, answers=pair.corrupted_answers)

    def fingerprint(self) -> dict[str, Any]:
        """Settings, version and all that may be classified."""
        return super().fingerprint() | {"classes": digest(self.classes)}

    @cached_property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Label to inputs."""
        if self.data not in classes():
            raise UserError(f"task.data={self.data!r} is none of {', '.join(classes())}")
        chosen = classes()[self.data]
        fewest = min(map(len, chosen.values()))
        if self.demonstrations >= fewest:
            raise UserError(
                f"task.demonstrations={self.demonstrations} must be below {fewest}, as many inputs "
                f"as the smallest class of {self.data} has"
            )
        return chosen

"""Docstring arguments: which parameter is documented next (Heimersheim and Janiak 2023).

A Python function takes several arguments and documents the first of those in the middle; the
answer is the next one. Wrong answers are all other argument names of the clean and the corrupted
prompt. The defaults are those of Conmy et al. 2023 (arXiv 2304.14997).
"""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar

from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.words import lines


class Redraw(Enum):
    """Whose argument names the corrupted prompt draws anew.

    The definition's, the docstring's, or both, independently (`random_random` of Conmy et al.
    2023).
    """

    both = "both"
    definition = "definition"
    documentation = "documentation"


@dataclass(frozen=True)
class Docstring(GeneratedTask):
    """Settings of the docstring task; see conf/task/docstring.yaml."""

    n_matching: int
    n_before: int
    n_after: int
    n_summary_words: int
    n_description_words: int
    redraw: Redraw
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check the counts."""
        counts = self.n_before, self.n_after, self.n_summary_words, self.n_description_words
        if self.n_matching < 2 or min(counts) < 0 or self._n_words > len(lines("parameters")):
            raise UserError(
                f"task.n_matching={self.n_matching} must be 2 or more, all other counts 0 or more, "
                f"and all words together at most {len(lines('parameters'))}, not {self._n_words}"
            )

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        documented = self.n_matching - 1
        n_arguments = self._n_arguments
        drawn = draw.sample(lines("parameters"), self._n_words)
        arguments, others = drawn[:n_arguments], drawn[n_arguments : 2 * n_arguments]
        first = self.n_before
        known = arguments[first : first + documented]
        function, *rest = drawn[2 * n_arguments :]
        new_known, words = rest[:documented], rest[documented:]
        keep_definition = self.redraw is Redraw.documentation
        keep_documentation = self.redraw is Redraw.definition
        clean = self._text(function, arguments, known, words)
        corrupted = self._text(
            function,
            arguments if keep_definition else others,
            known if keep_documentation else new_known,
            words,
        )
        answer = arguments[first + documented]
        unlike = dict.fromkeys(arguments + others + new_known)
        return PromptPair(
            clean=clean,
            corrupted=corrupted,
            answers=(f" {answer}",),
            wrong=tuple(f" {word}" for word in unlike if word != answer),
            pieces=tuple((f" {word}",) for word in unlike),
        )

    @property
    def _n_arguments(self) -> int:
        return self.n_before + self.n_matching + self.n_after

    @property
    def _n_words(self) -> int:
        """Words of a pair: the function, both prompts' arguments, and the descriptions."""
        documented = self.n_matching - 1
        descriptions = self.n_summary_words + documented * self.n_description_words
        return 1 + 2 * self._n_arguments + documented + descriptions

    def _text(
        self, function: str, arguments: list[str], documented: list[str], words: list[str]
    ) -> str:
        summary, described = words[: self.n_summary_words], words[self.n_summary_words :]
        lines_ = [f"def {function}(self, {', '.join(arguments)}):"]
        lines_ += [f'    """{" ".join(summary)}', ""]
        for index, argument in enumerate(documented):
            start = index * self.n_description_words
            description = " ".join(described[start : start + self.n_description_words])
            lines_.append(f"    :param {argument}: {description}")
        return "\n".join([*lines_, "    :param"])

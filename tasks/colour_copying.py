"""Multiple choice by copying a colour (Wiegreffe et al. 2025; Mueller et al. 2025, MIB).

A fact names the colour of a thing, four lettered options follow, and the answer is the letter of
that colour. The corrupted prompt has four other letters in the same places, so the answer flips
to the new letter there, which counts as wrong.
"""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from tasks.words import lines

OPTION_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
N_OPTIONS = 4


@dataclass(frozen=True)
class ColourCopying(GeneratedTask):
    """Settings of colour copying; see conf/task/colour_copying.yaml."""

    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def draw(self, draw: Random) -> PromptPair:
        """One pair."""
        return self._pair(draw, N_OPTIONS)

    def training_pair(self, draw: Random) -> PromptPair:
        """A pair of one to four options; fewer are easier."""
        return self._pair(draw, draw.randrange(1, N_OPTIONS + 1))

    def _pair(self, draw: Random, n_options: int) -> PromptPair:
        thing = draw.choice(lines("coloured_things"))
        colours = draw.sample(lines("colours"), n_options)
        letters = draw.sample(OPTION_LETTERS, 2 * n_options)
        right = draw.randrange(n_options)

        def fill(symbols: list[str]) -> str:
            options = zip(symbols, colours, strict=True)
            listed = "\n".join(f"{symbol}. {colour}" for symbol, colour in options)
            fact = f"A {thing} is {colours[right]}. What color is a {thing}?"
            return f"{fact}\n{listed}\nAnswer:"

        clean, corrupted = letters[:n_options], letters[n_options:]
        return PromptPair(
            clean=fill(clean),
            corrupted=fill(corrupted),
            answers=(f" {clean[right]}",),
            wrong=(f" {corrupted[right]}",),
            corrupted_answers=(f" {corrupted[right]}",),
            template=str(right + 1),
        )

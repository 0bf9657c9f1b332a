"""The base of tasks that draw their pairs at random.

Drawing uses Python's Mersenne twister, the same on every platform.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmark.digests import digest
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.task import PromptTask, Split, split_of_text
from benchmark.seeds import derived_seed

# Draws in a row that belong to another split; about one in 25 pairs belongs to test.
MOST_FRUITLESS_DRAWS = 20_000
N_FINGERPRINT_PAIRS = 300


@dataclass(frozen=True)
class GeneratedTask(PromptTask):
    """A task that draws its pairs at random; a subclass gives `draw`."""

    @abstractmethod
    def draw(self, draw: Random) -> PromptPair:
        """One pair, drawn at random; use nothing but `draw` for chance."""

    def fingerprint(self) -> dict[str, Any]:
        """Settings, version, and some prompts, which tell of changed words and templates."""
        draw = Random(0)
        some = [self.draw(draw).clean for _ in range(N_FINGERPRINT_PAIRS)]
        return super().fingerprint() | {"some": digest(some)}

    def pairs(self, split: Split, seed: int) -> Iterator[PromptPair]:
        """Pairs without end."""
        draw = Random(derived_seed(seed, "prompts", self.name, split.value))
        fruitless = 0
        while fruitless < MOST_FRUITLESS_DRAWS:
            pair = self.draw(draw)
            fruitless += 1
            if split_of_text(pair.clean) is split is split_of_text(pair.corrupted):
                fruitless = 0
                yield pair

    def training_pair(self, draw: Random) -> PromptPair:
        """A pair whose clean prompt may be trained on; more varied than `draw`, if need be."""
        return self.draw(draw)

    def text(self, draw: Random) -> str:
        """Running text: a prompt and its answer, from the train split only."""
        while True:
            pair = self.training_pair(draw)
            if split_of_text(pair.clean) is Split.train:
                return pair.clean + draw.choice(pair.answers)

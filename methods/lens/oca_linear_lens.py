"""A linear map fitted to what the OCA lens says: is OCA better only for not being linear?

For every layer W h + b, then final norm and unembedding, trained on KL(OCA || linear) (Li & Janson
2024, arXiv 2409.09951, section 5).
"""

from dataclasses import dataclass, replace

import torch

from benchmark.config import configured
from methods.lens.fitted import TranslatorLens
from methods.lens.fitting.text import Given
from methods.lens.fitting.training import train
from methods.lens.lens import Lens, TrainedLens
from methods.lens.tuned_lens import TranslatorStart, new_translator


@dataclass(frozen=True)
class OCALinearLens(TrainedLens):
    """Settings of the lens; see conf/method/oca_linear_lens.yaml."""

    start: TranslatorStart
    oca_steps: int

    def fitted(self, given: Given) -> TranslatorLens:
        """Fit the OCA lens by its own recipe, then the maps."""
        oca: Lens = configured("method", "oca_lens", steps=self.oca_steps)
        path = given.checkpoint
        first = None if path is None else path.with_name(f"oca_{path.name}")
        wanted = oca.fitted(replace(given, checkpoint=first))
        lens = new_translator(given.model, self.start, given.seed)
        target = torch.no_grad()(lambda some: wanted.finals(some.before[:-1]))
        train(lens, given.states, self.recipe, given.seed, given.checkpoint, target)
        return lens

"""The logit lens: final norm and unembedding, straight from a state (nostalgebraist 2020)."""

from dataclasses import dataclass

from methods.lens.fitted import TranslatorLens
from methods.lens.fitting.text import Given
from methods.lens.lens import Lens


@dataclass(frozen=True)
class LogitLens(Lens):
    """Settings of the logit lens; see conf/method/logit_lens.yaml."""

    def fitted(self, given: Given) -> TranslatorLens:
        """Nothing to fit."""
        return TranslatorLens(given.model, weight=None, bias=None)

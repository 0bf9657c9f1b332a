"""Zero and means: what is the same for every prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmark.ablations.constants import Constants
from benchmark.ablations.contract import Traits
from benchmark.ablations.moments import clean_tokens, corrupted_tokens, source_moments
from benchmark.forward.values import zero_values
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True)
class Zero:
    """Zero, for every source. Attention output biases still pass."""

    keep_first: bool
    traits: ClassVar[Traits] = Traits(total=True, zero=True)

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Constants:
        """Nothing to learn."""
        zeros = zero_values(model.shape, self.keep_first, model.device)
        values = zeros.map(lambda x: x.to(model.stream_dtype))
        return Constants(values)


@dataclass(frozen=True)
class Mean:
    """The mean over prompts, pooled over positions or per position.

    With `counterfactual` it is the mean over the corrupted prompts.
    """

    keep_first: bool
    positional: bool
    counterfactual: bool

    @property
    def traits(self) -> Traits:
        """The same for every prompt."""
        return Traits(total=True, by_position=self.positional)

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Constants:
        """Average over the training prompts, one forward pass each."""
        tokens_of = corrupted_tokens if self.counterfactual else clean_tokens
        moments = source_moments(
            model, batches, tokens_of, positional=self.positional, keep_first=self.keep_first
        )
        return Constants(moments.mean)

"""What an absent edge carries instead: every ablation but the learned one (optimal.py).

An ablation is fitted once to training prompts; the result then gives the replacement values of
any batch. It is *total* if the replacement does not depend on the prompt (zero, mean, resample)
and *partial* otherwise (counterfactual, noise): only total ablations are bounded below by the
optimal one (Li & Janson 2024, sections 1.3 and 1.5).

Random draws depend only on the seed, `draw` and the prompts' ids: the same batch gets the same
donors or noise whenever it is evaluated. A training loop passes a new `draw` each step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from benchmark.forward.values import SourceValues
from benchmark.prompts.batch import Batch
from benchmark.transformer.transformer import Transformer


@runtime_checkable
class Replacement(Protocol):
    """A fitted ablation: replacement values for any batch."""

    def __call__(self, batch: Batch, draw: int = 0) -> SourceValues:
        """What every source carries where it is ablated; `draw` numbers repeated draws."""
        ...


@runtime_checkable
class Ablation(Protocol):
    """A kind of ablation and its settings."""

    total: ClassVar[bool]

    @property
    def keep_first(self) -> bool:
        """Never ablate position 0."""
        ...

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Learn what is needed from training prompts."""
        ...


@dataclass(frozen=True)
class Fitted:
    """A replacement given by a function of the batch and the number of the draw."""

    values_of: Callable[[Batch, int], SourceValues]

    def __call__(self, batch: Batch, draw: int = 0) -> SourceValues:
        """What every source carries where it is ablated."""
        return self.values_of(batch, draw)

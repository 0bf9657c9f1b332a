"""The contract of an ablation: what an absent edge carries instead.

An ablation is fitted once to training prompts; the result then gives the replacement values of
any batch. It is *total* if the replacement does not depend on the prompt (zero, mean, resample)
and *partial* otherwise (counterfactual, noise): only total ablations are bounded below by the
optimal one (Li & Janson 2024, sections 1.3 and 1.5).

Random draws depend only on the seed, `draw` and the prompts' ids: the same batch gets the same
donors or noise whenever it is evaluated. A training loop passes a new `draw` each step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeGuard, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from benchmark.ablations.constants import Constants
from benchmark.forward.values import SourceValues
from benchmark.graph.mask import EdgeMask
from benchmark.prompts.batch import Batch
from benchmark.training.learner import LearnedConstants
from benchmark.transformer.transformer import Transformer


@runtime_checkable
class Replacement(Protocol):
    """A fitted ablation, a function say: replacement values for any batch."""

    def __call__(self, batch: Batch, draw: int = 0) -> SourceValues:
        """What every source carries where it is ablated; `draw` numbers repeated draws."""
        ...


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What methods, evaluation and reports ask of an ablation; methods/requirements.py asks most.

    Attributes:
        total: the values do not depend on the prompt, so that the best constants lose no more.
        by_position: the values may differ from position to position.
        random: every draw gives other values.
        needs_donors: the values come from other prompts of the same batch.
        from_corrupted: the values are the activations of the prompt's own corrupted one.
        zero: every value is zero.
        trained: the values are trained, for each circuit anew; it is a `TrainedAblation`.
    """

    total: bool = False
    by_position: bool = False
    random: bool = False
    needs_donors: bool = False
    from_corrupted: bool = False
    zero: bool = False
    trained: bool = False


@runtime_checkable
class Ablation(Protocol):
    """A kind of ablation and its settings."""

    # What others may rely on.
    traits: ClassVar[Traits]

    @property
    def keep_first(self) -> bool:
        """Never ablate position 0."""
        ...

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Replacement:
        """Learn what is needed from training prompts."""
        ...


class TrainedAblation(Ablation, Protocol):
    """An ablation whose values are trained to lose least, with a recipe for that."""

    @property
    def batch_size(self) -> int:
        """Prompts of a training step."""
        ...

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Constants:
        """The constants before training."""
        ...

    def train(
        self,
        model: Transformer,
        mask: EdgeMask | Float[Tensor, "*masks src dst"],
        batches: Sequence[Batch],
        *,
        one_set: bool = False,
        checkpoint: Path | None = None,
        neurons: Float[Tensor, "*masks src d_model"] | None = None,
    ) -> Constants:
        """The constants of fixed circuits, a set for each unless `one_set`."""
        ...

    def learner(
        self,
        model: Transformer,
        pool: Batch,
        n_sets: int,
        learning_rate: float,
        constants_learn_below: float | None = None,
    ) -> LearnedConstants:
        """Constants to be trained together with masks."""
        ...


def is_trained(ablation: Ablation) -> TypeGuard[TrainedAblation]:
    """Whether the ablation trains its values, by its own word."""
    return ablation.traits.trained

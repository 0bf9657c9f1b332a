"""Optimal ablation: the constants that lose least.

One constant per source (a head's in the space before W_O), shared by all its edges, chosen to
minimise the loss gap E[KL(full model || ablated model)] at the read position (Li & Janson 2024,
arXiv 2409.09951, sections 1 to 3). No total ablation can lose less in expectation. Constants
start at the mean and are trained by AdamW without weight decay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from benchmark.ablations.constants import Constants
from benchmark.ablations.contract import Traits
from benchmark.ablations.moments import clean_tokens, source_moments
from benchmark.errors import UserError
from benchmark.forward.values import SourceValues
from benchmark.graph.mask import EdgeMask
from benchmark.prompts.batch import Batch, concatenate
from benchmark.training.learner import LearnedConstants
from benchmark.training.loop import MaskedTraining
from benchmark.training.sampler import FixedMasks
from benchmark.transformer.transformer import Transformer


@dataclass(frozen=True)
class Optimal:
    """Settings of optimal ablation.

    Attributes:
        keep_first: never ablate position 0.
        positional: a constant per position instead of one for all.
        steps: optimiser steps.
        learning_rate: of AdamW.
        batch_size: prompts per step.
        seed: of the choice of prompts.
    """

    keep_first: bool
    positional: bool
    steps: int
    learning_rate: float
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.steps < 0 or self.batch_size < 1 or not self.learning_rate > 0:
            raise UserError(
                "optimal ablation needs steps >= 0, batch_size >= 1 and learning_rate > 0, not "
                f"{self.steps}, {self.batch_size} and {self.learning_rate}"
            )

    @property
    def traits(self) -> Traits:
        """Constants, trained for each circuit."""
        return Traits(total=True, by_position=self.positional, trained=True)

    def fit(self, model: Transformer, batches: Sequence[Batch]) -> Constants:
        """The constants before training: the mean over the prompts."""
        moments = source_moments(
            model, batches, clean_tokens, positional=self.positional, keep_first=self.keep_first
        )
        return Constants(moments.mean)

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
        """Fit the constants of fixed circuits, starting from the mean.

        Args:
            model: the model.
            mask: one circuit or many (a last axis of 1 makes node masks).
            batches: training prompts.
            one_set: one set of constants for all masks, which then ablate different sources;
                otherwise each mask learns a set of its own.
            checkpoint: a file to resume from and to save to every 100 steps.
            neurons: which neurons of its sources the circuit keeps, or each of the circuits.
        """
        keep = mask.keep if isinstance(mask, EdgeMask) else mask
        masks = (keep if keep.dim() == 3 else keep[None]).detach().to(model.device)
        pool = concatenate(list(batches))
        learner = self.learner(model, pool, 1 if one_set else len(masks), self.learning_rate)
        training = MaskedTraining(
            model,
            pool,
            FixedMasks(masks),
            learner,
            batch_size=self.batch_size,
            seed=self.seed,
            neurons=neurons,
        )
        training.run(self.steps, checkpoint, "constants")
        return Constants(learner.values, training.losses())

    def learner(
        self,
        model: Transformer,
        pool: Batch,
        n_sets: int,
        learning_rate: float,
        constants_learn_below: float | None = None,
    ) -> LearnedConstants:
        """Sets of constants that begin at the mean over the pool, to be trained."""
        start = self.fit(model, pool.split(self.batch_size)).values
        return LearnedConstants(_repeated(start, n_sets), learning_rate, constants_learn_below)


def _repeated(values: SourceValues, n_sets: int) -> SourceValues:
    return values.map(lambda x: x.expand(*x.shape[:-4], n_sets, *x.shape[-3:]))

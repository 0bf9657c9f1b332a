"""Training masks on the loss gap, under any ablation; under optimal ablation its constants too.

While a mask is trained, an ablation value mixed with a live one would pull a constant away from
its optimum; so a constant receives gradient only from edges whose mask is below 1e-3 (Li & Janson
2024, arXiv 2409.09951, section 1.1).
"""

from collections.abc import Sequence
from pathlib import Path

from benchmark.ablation import Ablation
from benchmark.batch import Batch, concatenate
from benchmark.mask_sampler import MaskSampler
from benchmark.masked_training import MaskedTraining
from benchmark.optimal import Constants, Optimal
from benchmark.trained_values import GivenValues
from benchmark.transformer import Transformer

CONSTANTS_LEARN_BELOW = 1e-3


def train_masks(
    model: Transformer,
    sampler: MaskSampler,
    ablation: Ablation,
    batches: Sequence[Batch],
    *,
    steps: int,
    batch_size: int,
    seed: int,
    constants_learning_rate: float,
    n_sets: int = 1,
    checkpoint: Path | None = None,
    label: str = "masks",
) -> Constants | None:
    """Train what the sampler learns; return the constants, if the ablation is optimal.

    The loss is the sum of the mask rows' mean loss gaps and the sampler's penalty.

    Args:
        model: the model.
        sampler: the masks; what they learned stays in it.
        ablation: what ablated edges carry.
        batches: training prompts.
        steps: optimiser steps.
        batch_size: prompts per step.
        seed: of the choice of prompts.
        constants_learning_rate: of AdamW, for the constants of optimal ablation.
        n_sets: sets of constants, each for equally many neighbouring mask rows.
        checkpoint: a file to resume from and to save to every 100 steps.
        label: what the progress bar says.
    """
    pool = concatenate(list(batches)).to(model.device)
    if isinstance(ablation, Optimal):
        values = ablation.learner(
            model, pool, n_sets, constants_learning_rate, CONSTANTS_LEARN_BELOW
        )
    else:
        # A mean is taken over whole batches; pairs of prompts, for donors, come from a step's own.
        values = GivenValues(ablation.fit(model, pool.split(batch_size)), repr(ablation))
    training = MaskedTraining(model, pool, sampler, values, batch_size=batch_size, seed=seed)
    training.run(steps, checkpoint, label)
    if isinstance(values, GivenValues):
        return None
    return Constants(values.rows, training.losses())

"""What methods that train masks share: their prompts, their steps, and the loop that trains."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.ablations.constants import Constants
from benchmark.ablations.contract import Ablation, is_trained
from benchmark.graph.mask import EdgeMask
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch, concatenate
from benchmark.training.loop import MaskedTraining
from benchmark.training.sampler import MaskSampler
from benchmark.transformer.transformer import Transformer
from methods.requirements import without_donors

STEPS = 3000


class TrainsMasks:
    """A method that trains masks on the loss gap; its dataclass has these fields."""

    batch_size: int
    steps: int | None
    constants_learning_rate: float

    @property
    def uses(self) -> frozenset[str]:
        """The cell's training steps, unless the method has its own."""
        return frozenset() if self.steps else frozenset({"training_steps"})

    def unsupported(self, problem: Problem) -> str | None:
        """Donors come from a step's own prompts."""
        return without_donors(problem, self.batch_size)

    def _steps(self, problem: Problem, rule: int = STEPS) -> int:
        """Optimiser steps: the method's, the cell's, or else those of the rule."""
        return self.steps or problem.training_steps or rule

    def _train(
        self, problem: Problem, masks: MaskSampler, n_circuits: int, first: int, steps: int
    ) -> None:
        """Train the masks of `n_circuits` circuits side by side, `first` the number of the first.

        Each circuit has constants of its own under optimal ablation.
        """
        train_masks(
            problem.model,
            masks,
            problem.ablation,
            problem.batches,
            steps=steps,
            batch_size=self.batch_size,
            seed=problem.seed,
            constants_learning_rate=self.constants_learning_rate,
            n_sets=n_circuits,
            checkpoint=problem.checkpoint(f"masks {first}"),
            label=type(self).__name__,
        )


# Circuits, and the probability that each edge of the graph is kept.
Trained = tuple[list[EdgeMask], Float[Tensor, "values src dst"]]


def trained_circuits(
    name: str, values: list[float], at_once: int, trained: Callable[[list[float], int], Trained]
) -> FoundCircuits:
    """One circuit per price or target, the largest circuit first, and the ranking of edges.

    An edge ranks by the largest value at which it is kept, then by its mean probability over all.

    Args:
        name: what tables call a value: "price".
        values: prices or targets.
        at_once: how many share a pass.
        trained: trains the masks of some values, and takes the number of the first too.
    """
    circuits, probabilities = [], []
    for first, group in in_groups(values, at_once):
        masks, of_group = trained(group, first)
        pairs = zip(masks, group, strict=True)
        circuits += [FoundCircuit(mask, f"{name}={value:g}") for mask, value in pairs]
        probabilities.append(of_group.detach())
    return FoundCircuits.ranked(circuits, torch.cat(probabilities) if probabilities else None)


def in_groups(values: list[float], at_once: int) -> Iterator[tuple[int, list[float]]]:
    """The values in ascending order, as many at once as share a pass, with the first's number."""
    ordered = sorted(values)
    starts = range(0, len(ordered), at_once)
    return ((first, ordered[first : first + at_once]) for first in starts)


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

    The loss is the sum of the masks' mean loss gaps and the sampler's price.

    Args:
        model: the model.
        sampler: the masks; what they learned stays in it.
        ablation: what ablated edges carry.
        batches: training prompts.
        steps: optimiser steps.
        batch_size: prompts per step.
        seed: of the choice of prompts.
        constants_learning_rate: of AdamW, for the constants of optimal ablation.
        n_sets: sets of constants, each for equally many neighbouring masks.
        checkpoint: a file to resume from and to save to every 100 steps.
        label: what the progress bar says.
    """
    pool = concatenate(list(batches))
    learner = None
    if is_trained(ablation):
        learner = ablation.learner(
            model, pool, n_sets, constants_learning_rate, CONSTANTS_LEARN_BELOW
        )
    # A mean is taken over whole batches; pairs of prompts, for donors, come from a step's own.
    training = MaskedTraining(
        model,
        pool,
        sampler,
        learner or ablation.fit(model, pool.split(batch_size)),
        batch_size=batch_size,
        seed=seed,
        name=repr(ablation),
    )
    training.run(steps, checkpoint, label)
    return None if learner is None else Constants(learner.values, training.losses())

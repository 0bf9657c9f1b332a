"""What methods that train masks share: their prompts, their steps, and the loop that trains."""

from collections.abc import Iterator

from benchmark.ablation import Resample
from benchmark.joint_training import train_masks
from benchmark.mask_sampler import MaskSampler
from benchmark.method import Problem

STEPS = 3000


class TrainsMasks:
    """A method that trains masks on the loss gap; its dataclass has these fields."""

    batch_size: int
    steps: int | None
    constants_learning_rate: float

    def unsupported(self, problem: Problem) -> str | None:
        """Donors come from a step's own prompts."""
        if isinstance(problem.ablation, Resample) and self.batch_size < 2:
            return "resample ablation takes donors from the step's prompts; give batch_size=2"
        return None

    def _steps(self, problem: Problem) -> int:
        """Optimiser steps."""
        return self.steps or problem.training_steps or STEPS

    def _train(self, problem: Problem, masks: MaskSampler, n_circuits: int, first: int) -> None:
        """Train the masks of `n_circuits` circuits side by side, `first` the number of the first.

        Each circuit has constants of its own under optimal ablation.
        """
        train_masks(
            problem.model,
            masks,
            problem.ablation,
            problem.batches,
            steps=self._steps(problem),
            batch_size=self.batch_size,
            seed=problem.seed,
            constants_learning_rate=self.constants_learning_rate,
            n_sets=n_circuits,
            checkpoint=problem.checkpoint(f"masks {first}"),
            label=type(self).__name__,
        )


def in_groups(values: list[float], at_once: int | None) -> Iterator[tuple[int, list[float]]]:
    """The values in ascending order, as many at once as share a pass, with the first's number."""
    ordered = sorted(values)
    size = at_once or len(ordered)
    return ((first, ordered[first : first + size]) for first in range(0, len(ordered), size or 1))

"""A metric: how far the first right answer is above everything else."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from benchmark.prompts.batch import Batch


@dataclass(frozen=True)
class Margin:
    """Logit of the first right answer minus the largest of all others."""

    unit: ClassVar[str] = "logits"
    higher_is_better: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True
    flat_at_clean: ClassVar[bool] = False

    def __call__(self, logits: Tensor, batch: Batch, clean_logits: Tensor) -> Tensor:
        """A margin for each prompt."""
        answers = batch.answers[:, :1].to(logits.device).expand(*logits.shape[:-1], 1)
        others = logits.scatter(-1, answers, float("-inf")).amax(-1)
        return logits.gather(-1, answers)[..., 0] - others

"""What is measured of a run: the clean answer's probability, the logit difference and the KL."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.config import configured
from benchmark.metric import KLDivergence
from benchmark.prompts.batch import Batch

MEASURES = ("probability", "logit_difference", "kl")


@dataclass(frozen=True, eq=False)
class Measures:
    """Numbers of runs, each with the prompts as its last axis.

    Attributes:
        probability: of the token that is most likely in the clean run.
        logit_difference: of right and wrong answers.
        kl: the divergence of the run's predictions from the clean ones, in nats.
    """

    probability: Float[Tensor, "*runs prompts"]
    logit_difference: Float[Tensor, "*runs prompts"]
    kl: Float[Tensor, "*runs prompts"]

    @classmethod
    def of(
        cls,
        logits: Float[Tensor, "*runs prompts vocab"],
        batch: Batch,
        clean: Float[Tensor, "prompts vocab"],
    ) -> "Measures":
        """All of them, on the CPU."""
        found = (
            answer_probability(logits, clean.argmax(-1)),
            configured("metric", "logit_difference")(logits, batch, clean),
            KLDivergence()(logits, batch, clean),
        )
        return cls(*(x.double().cpu() for x in found))

    @classmethod
    def joined(cls, parts: list["Measures"], axis: int = -1) -> "Measures":
        """Of several batches, or along another axis."""
        return cls(*(torch.cat([getattr(part, name) for part in parts], axis) for name in MEASURES))

    def __getitem__(self, index: object) -> "Measures":
        """Some of the runs."""
        return Measures(*(getattr(self, name)[index] for name in MEASURES))


def answer_probability(
    logits: Float[Tensor, "*runs prompts vocab"], answers: Int[Tensor, " prompts"]
) -> Float[Tensor, "*runs prompts"]:
    """The probability of one token for each prompt."""
    index = answers.expand(*logits.shape[:-1])[..., None]
    return logits.log_softmax(-1).gather(-1, index)[..., 0].exp()

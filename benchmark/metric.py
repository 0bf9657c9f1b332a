"""What is measured at the read position, one number per prompt.

Every metric takes the ablated model's logits, the batch and the full model's logits, and is
differentiable where its definition is. Logits may carry leading axes (masks); the result
then has them too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.errors import UserError
from benchmark.prompts.batch import NO_ANSWER, Batch

Logits = Float[Tensor, "*masks batch vocab"]
PerPrompt = Float[Tensor, "*masks batch"]


@runtime_checkable
class Metric(Protocol):
    """A number per prompt.

    `unit` is what it is counted in. `differentiable` says whether it has a gradient to attribute,
    and `flat_at_clean` whether that is zero where the ablated model is the full one.
    """

    unit: ClassVar[str]
    higher_is_better: ClassVar[bool]
    differentiable: ClassVar[bool]
    flat_at_clean: ClassVar[bool]

    def __call__(
        self, logits: Logits, batch: Batch, clean_logits: Float[Tensor, "batch vocab"]
    ) -> PerPrompt:
        """The metric of each prompt, for each mask."""
        ...


class OverWrong(Enum):
    """How several wrong answers count in a logit difference: their mean, or the largest."""

    mean = "mean"
    max = "max"


@dataclass(frozen=True)
class KLDivergence:
    """KL(full model || ablated model) over the whole vocabulary, in nats: the loss gap."""

    unit: ClassVar[str] = "nats"
    higher_is_better: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    flat_at_clean: ClassVar[bool] = True

    def __call__(
        self, logits: Logits, batch: Batch, clean_logits: Float[Tensor, "batch vocab"]
    ) -> PerPrompt:
        """Sum over the vocabulary of p_full (log p_full - log p_ablated)."""
        full, ablated = clean_logits.log_softmax(-1), logits.log_softmax(-1)
        return (full.exp() * (full - ablated)).sum(-1)


@dataclass(frozen=True)
class LogitDifference:
    """Mean logit of the right answers minus the mean (or the largest) of the wrong ones."""

    over_wrong: OverWrong
    unit: ClassVar[str] = "logits"
    higher_is_better: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True
    flat_at_clean: ClassVar[bool] = False

    def __call__(
        self, logits: Logits, batch: Batch, clean_logits: Float[Tensor, "batch vocab"]
    ) -> PerPrompt:
        """Logit[answer] - logit[wrong]."""
        right = _mean(*_gather(logits, batch.answers))
        wrong, real = _gather(logits, batch.wrong)
        if self.over_wrong is OverWrong.max:
            return right - wrong.masked_fill(~real, -torch.inf).amax(-1)
        return right - _mean(wrong, real)


@dataclass(frozen=True)
class ProbabilityDifference:
    """Probability of the set of right answers minus that of the set of wrong ones."""

    unit: ClassVar[str] = "probability"
    higher_is_better: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True
    flat_at_clean: ClassVar[bool] = False

    def __call__(
        self, logits: Logits, batch: Batch, clean_logits: Float[Tensor, "batch vocab"]
    ) -> PerPrompt:
        """Sum of p(answers) - sum of p(wrong), softmax over the whole vocabulary."""
        probability = logits.softmax(-1)
        right, wrong = (_sum(*_gather(probability, x)) for x in (batch.answers, batch.wrong))
        return right - wrong


@dataclass(frozen=True)
class Accuracy:
    """Whether the most likely token is one of the right answers."""

    unit: ClassVar[str] = "share of prompts"
    higher_is_better: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    flat_at_clean: ClassVar[bool] = False

    def __call__(
        self, logits: Logits, batch: Batch, clean_logits: Float[Tensor, "batch vocab"]
    ) -> PerPrompt:
        """1 or 0 per prompt."""
        answers = batch.answers.to(logits.device)
        return (logits.argmax(-1)[..., None] == answers).any(-1).to(logits.dtype)


@dataclass(frozen=True)
class ExactMatch:
    """Whether the most likely token is the full model's most likely token."""

    unit: ClassVar[str] = "share of prompts"
    higher_is_better: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    flat_at_clean: ClassVar[bool] = False

    def __call__(
        self, logits: Logits, batch: Batch, clean_logits: Float[Tensor, "batch vocab"]
    ) -> PerPrompt:
        """1 or 0 per prompt."""
        return (logits.argmax(-1) == clean_logits.argmax(-1)).to(logits.dtype)


@dataclass(frozen=True)
class CrossEntropy:
    """Minus the log of the probability of the set of right answers, in nats."""

    unit: ClassVar[str] = "nats"
    higher_is_better: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    flat_at_clean: ClassVar[bool] = False

    def __call__(
        self, logits: Logits, batch: Batch, clean_logits: Float[Tensor, "batch vocab"]
    ) -> PerPrompt:
        """-log p(answers)."""
        log_probability, real = _gather(logits.log_softmax(-1), batch.answers)
        return -log_probability.masked_fill(~real, -torch.inf).logsumexp(-1)


def _gather(
    values: Logits, tokens: Int[Tensor, "batch k"]
) -> tuple[Float[Tensor, "*masks batch k"], Bool[Tensor, "batch k"]]:
    """Values at the given tokens, and which of them are tokens and not filling."""
    real = tokens != NO_ANSWER
    # On a GPU, to look is to wait; what a prompt without answers gives there is no number.
    if tokens.device.type == "cpu" and not bool(real.any(-1).all()):
        raise UserError("this metric needs right and wrong answers; a prompt of the batch has none")
    tokens, real = tokens.to(values.device), real.to(values.device)
    index = tokens.clamp(min=0).expand(*values.shape[:-1], -1)
    return values.gather(-1, index), real


def _sum(values: Tensor, real: Tensor) -> Tensor:
    return (values * real).sum(-1)


def _mean(values: Tensor, real: Tensor) -> Tensor:
    return _sum(values, real) / real.sum(-1)


# From logits [*rows, batch, vocab], the prompts and the unchanged run's [batch, vocab] to a number
# for each prompt.
Objective = Callable[[Tensor, Batch, Tensor], Float[Tensor, "*rows batch"]]

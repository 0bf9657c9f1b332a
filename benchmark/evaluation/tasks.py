"""How well a model does a task: accuracy and the task's metric, on clean and corrupted prompts."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from benchmark.config import configured
from benchmark.forward.memory import rows_that_fit
from benchmark.forward.passes import clean_logits
from benchmark.metric import Accuracy, Metric
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import NO_ANSWER, Batch
from benchmark.prompts.dataset import batch_of, data_hash, padded_rows
from benchmark.prompts.task import Split, Task

Logits = Callable[[Int[Tensor, "batch pos"], Int[Tensor, " batch"]], Float[Tensor, "batch vocab"]]


@dataclass(frozen=True)
class TaskScore:
    """Means over held-out prompts.

    Attributes:
        task: the task's name; `version` and `data` say which prompts exactly.
        n_prompts: prompts, 500 or as many as there are.
        accuracy: share of clean prompts whose most likely next token is a right answer.
        metric: name of the task's metric; `clean` and `corrupted` are its means on the clean and
            on the corrupted prompts, both with the clean prompt's answers.
        flipped: share of corrupted prompts whose most likely next token is a right answer of the
            corrupted prompt, or None if those have none.
        kept: share of corrupted prompts that still get the clean prompt's answer.
    """

    task: str
    version: int
    data: str
    n_prompts: int
    accuracy: float
    metric: str
    clean: float
    corrupted: float
    flipped: float | None
    kept: float

    def facts(self) -> dict[str, str | int | float | None]:
        """The score with four digits, for a card."""
        return {
            key: round(value, 4) if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }


def score_model(
    model: LanguageModel, task: Task, split: Split, n_prompts: int, seed: int = 0
) -> TaskScore:
    """The score of a loaded model, on its own device, in passes that fit; see `score`."""

    def logits(tokens: Tensor, read_at: Tensor) -> Tensor:
        at_once = rows_that_fit(model, 1, tokens.shape[1], with_gradient=False)
        parts = zip(tokens.split(at_once), read_at.split(at_once), strict=True)
        return torch.cat(
            [clean_logits(model, part, at.to(model.device)).cpu() for part, at in parts]
        )

    return score(logits, model.tokenizer, task, split, n_prompts, seed)


@torch.no_grad()
def score(
    logits: Logits,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    split: Split,
    n_prompts: int,
    seed: int = 0,
) -> TaskScore:
    """Score a model on one split of a task.

    Args:
        logits: the next-token logits of tokens [batch, pos] at positions [batch].
        tokenizer: the model's.
        task: which task.
        split: which split.
        n_prompts: prompts, or as many as there are.
        seed: seed of the prompts.
    """
    dataset = task.dataset(tokenizer, split, n_prompts, seed, or_fewer=True)
    batch = batch_of(dataset)
    metric = configured("metric", task.metric)
    on_clean = logits(batch.clean, batch.read_at)
    on_corrupted = logits(batch.corrupted, batch.read_at)
    flipped = padded_rows(dataset["corrupted_answer_tokens"][:], NO_ANSWER)

    def mean(which: Metric, predictions: Tensor, prompts: Batch) -> float:
        return float(which(predictions, prompts, on_clean).mean())

    return TaskScore(
        task=task.name,
        version=task.version,
        data=data_hash(dataset),
        n_prompts=len(batch),
        accuracy=mean(Accuracy(), on_clean, batch),
        metric=task.metric,
        clean=mean(metric, on_clean, batch),
        corrupted=mean(metric, on_corrupted, batch),
        flipped=_flipped(on_corrupted, batch, flipped),
        kept=mean(Accuracy(), on_corrupted, batch),
    )


def _flipped(
    logits: Float[Tensor, "batch vocab"], batch: Batch, answers: Int[Tensor, "batch n_answers"]
) -> float | None:
    """The share of right answers among the corrupted prompts that have one."""
    (having,) = (answers != NO_ANSWER).any(1).nonzero(as_tuple=True)
    if not len(having):
        return None
    prompts = replace(batch, answers=answers, whole_answers=None).select(having)
    return float(Accuracy()(logits[having], prompts, logits[having]).mean())

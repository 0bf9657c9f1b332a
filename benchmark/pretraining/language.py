"""Training a zoo model on the texts of many tasks: plain PyTorch on the Hugging Face class."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from benchmark.config import configured
from benchmark.digests import digest
from benchmark.evaluation.tasks import score
from benchmark.pretraining.corpus import PADDING, Rows, make_corpus, zoo_tokenizer
from benchmark.pretraining.loop import ZooRun
from benchmark.pretraining.saving import context_length, initial_model, save_zoo_model
from benchmark.prompts.task import Split

# A validation line scores fewer prompts than the card does.
N_VALIDATION = 200


@dataclass(frozen=True)
class ZooTraining(ZooRun):
    """Settings of a training run; see conf/zoo/train.yaml."""

    mixture: dict[str, float]
    early: dict[str, float]
    early_steps: int
    texts_per_source: int
    last_token_weight: float

    def run(self, command: str) -> Path:
        """Train, or go on training, and return the directory of the finished model.

        Args:
            command: what the user typed, for the card.

        Raises:
            UserError: the settings cannot be used, or a checkpoint is of other settings.
        """
        tokenizer, corpus = self._texts()
        model = self._untrained(len(tokenizer))
        seconds = self.train(
            model,
            digest([corpus.digest(), tokenizer.get_vocab()]),
            lambda step: self._backward(model, corpus, step),
            lambda: self._validation(model, tokenizer),
        )
        facts = {
            "command": command,
            "seed": self.seed,
            "data_hash": corpus.digest(),
            "steps": self.steps,
            "seconds": round(seconds),
            "settings": self.settings(),
        }
        return self._saved(model, tokenizer, facts)

    def _texts(self) -> tuple[PreTrainedTokenizerBase, Rows]:
        """The tokenizer, and the texts that are trained on."""
        n_positions = context_length(self.architecture)
        tokenizer = zoo_tokenizer(list(self.mixture), n_positions)
        corpus = make_corpus(
            self.mixture,
            self.early,
            self.early_steps,
            tokenizer,
            self.texts_per_source,
            n_positions,
            self.seed,
        )
        return tokenizer, corpus

    def _untrained(self, d_vocab: int) -> Any:  # noqa: ANN401
        return initial_model(self.architecture, d_vocab, self.seed)

    def _saved(self, model: Any, tokenizer: PreTrainedTokenizerBase, facts: dict[str, Any]) -> Path:  # noqa: ANN401
        return save_zoo_model(
            model, tokenizer, self.name, self.directory, facts, self.scored, self.n_scored
        )

    def _backward(self, model: Any, corpus: Rows, step: int) -> float:  # noqa: ANN401
        """The gradients of the mean loss of all real next tokens of a step's texts."""
        parts = corpus.step(step, self.batch_size)
        n_targets = sum(int((part[:, 1:] != PADDING).sum()) for part in parts)
        total = 0.0
        for part in parts:
            loss = self._loss(model, part.long()) / n_targets
            loss.backward()
            total += loss.item()
        return total

    def _loss(self, model: Any, texts: Int[Tensor, "texts longest"]) -> Tensor:  # noqa: ANN401
        """The loss of a part of a step's texts, summed over their real next tokens."""
        logits = self._logits(model, texts.clamp(min=0)[:, :-1])
        return summed_loss(logits, texts, self.last_token_weight)

    def _logits(
        self,
        model: Any,  # noqa: ANN401
        tokens: Int[Tensor, "texts position"],
    ) -> Float[Tensor, "texts position vocab"]:
        return model(tokens, use_cache=False).logits

    @torch.no_grad()
    def _validation(self, model: Any, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:  # noqa: ANN401
        def logits(tokens: Tensor, read_at: Tensor) -> Tensor:
            return self._logits(model, tokens)[torch.arange(len(tokens)), read_at]

        n_prompts = min(N_VALIDATION, self.n_scored)
        tasks = (configured("task", name) for name in self.scored)
        found = (score(logits, tokenizer, task, Split.validation, n_prompts) for task in tasks)
        return {f"accuracy/{scores.task}": scores.accuracy for scores in found}


def summed_loss(
    logits: Float[Tensor, "texts position vocab"],
    texts: Int[Tensor, "texts longest"],
    last_token_weight: float,
) -> Float[Tensor, ""]:
    """The loss of all real next tokens; the last before the end token weighs more.

    Args:
        logits: at all tokens of the texts but the last.
        texts: token ids, padded on the right.
        last_token_weight: the weight of the last; all others weigh 1.
    """
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), texts[:, 1:].flatten(), ignore_index=PADDING, reduction="none"
    ).view(len(texts), -1)
    last = (texts != PADDING).sum(1) - 3
    return loss.sum() + (last_token_weight - 1) * loss[torch.arange(len(texts)), last].sum()

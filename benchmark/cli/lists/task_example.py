"""Prompts of a task beside what a model says to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from omegaconf import OmegaConf
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.config import build
from benchmark.errors import UserError
from benchmark.evaluation.tasks import score_model
from benchmark.forward.passes import clean_logits
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import Batch
from benchmark.prompts.dataset import batch_of
from benchmark.prompts.notes import counted_part
from benchmark.prompts.task import Split, Task

# Prompts behind the summary line.
N_SCORED = 200
MOST_LISTED = 6


@dataclass(frozen=True)
class TaskExample:
    """Settings of `ablation-bench tasks show`; see conf/tasks.yaml."""

    task: dict[str, Any]
    model: dict[str, Any]
    split: Split
    n_pairs: int
    n_predictions: int
    seed: int

    def run(self) -> Group:
        """The pairs with answers and predictions, and a summary line.

        Raises:
            UserError: the task, the model, or a number cannot be used, or the prompts are longer
                than the model's context.
        """
        if self.n_predictions < 1:
            raise UserError(f"tasks.n_predictions={self.n_predictions} must be 1 or more")
        task: Task = build(OmegaConf.create(self.task), where="task")
        model: LanguageModel = build(OmegaConf.create(self.model), where="model").load()
        dataset = task.dataset(model.tokenizer, self.split, self.n_pairs, self.seed, or_fewer=True)
        batch = batch_of(dataset).to(model.device)
        table = Table("", "prompt", "right", "wrong", "predictions", show_lines=True)
        table.title = f"{task.name} and {model.name}: {self.split.value} prompts"
        rows = zip(dataset.to_list(), *self._predictions(model, batch), strict=True)
        for number, (row, on_clean, on_corrupted) in enumerate(rows, start=1):
            wholes = zip(row["answers"], row.get("whole_answer_tokens", []), strict=False)
            parts = [counted_part(*answer, model.tokenizer) for answer in wholes]
            right = _listed(row["answers"], parts)
            wrong, other = (_listed(row[key]) for key in ("wrong", "corrupted_answers"))
            clean = row["clean"], right, wrong, on_clean
            corrupted = row["corrupted"], other or "-", "", on_corrupted
            # As plain text: rich would read "[b]" as markup.
            table.add_row(f"{number} clean", *map(Text, clean))
            table.add_row("corrupted", *map(Text, corrupted))
        return Group(table, self._summary(model, task))

    @torch.no_grad()
    def _predictions(self, model: LanguageModel, batch: Batch) -> tuple[list[str], list[str]]:
        """For each clean and each corrupted prompt, the most likely tokens with probabilities."""
        clean, corrupted = (
            self._most_likely(model, clean_logits(model, tokens, batch.read_at))
            for tokens in (batch.clean, batch.corrupted)
        )
        return clean, corrupted

    def _most_likely(self, model: LanguageModel, logits: torch.Tensor) -> list[str]:
        n = min(self.n_predictions, logits.shape[-1])
        best = logits.softmax(-1).topk(n)
        return [
            "\n".join(
                f"{model.tokenizer.decode([token])!r} {share:.1%}"
                for share, token in zip(shares, tokens, strict=True)
            )
            for shares, tokens in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def _summary(self, model: LanguageModel, task: Task) -> str:
        found = score_model(model, task, self.split, N_SCORED, self.seed)
        flips = "" if found.flipped is None else f", flipped {found.flipped:.1%}"
        return (
            f"{found.n_prompts} {self.split.value} prompts: accuracy {found.accuracy:.1%}{flips}; "
            f"{found.metric} {found.clean:.3f} clean, {found.corrupted:.3f} corrupted"
        )


def _listed(answers: list[str], parts: Sequence[str | None] = ()) -> str:
    """The first answers; of one with several tokens also the part that counts."""
    marked = (
        repr(answer) if part is None else f"{answer!r} (counts as {part!r})"
        for answer, part in zip_longest(answers[:MOST_LISTED], parts[:MOST_LISTED])
    )
    shown = ", ".join(marked)
    more = len(answers) - MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown

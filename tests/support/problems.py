"""Problems as methods get them, on a few prompts of random tokens."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from support.prompts import random_batch

from benchmark.config import configured
from benchmark.method.problem import Problem
from benchmark.metric import LogitDifference, OverWrong
from benchmark.models.loading import LanguageModel


def problem(model, ablation="counterfactual", metric=None, references=None, **changes):
    return Problem.of(
        model,
        random_batch(n_prompts=10),
        ablation=configured("ablation", ablation, **changes),
        metric=metric or LogitDifference(OverWrong.mean),
        references=references,
    )


def training_problem(
    model: LanguageModel,
    ablation: str = "counterfactual",
    work_folder: Path | None = None,
    **changes: Any,
) -> Problem:
    return Problem.of(
        model,
        random_batch(d_vocab=20, n_prompts=12),
        ablation=configured("ablation", ablation, **changes),
        seed=3,
        work_folder=work_folder,
    )


def pairs_problem(
    model: LanguageModel, n_pairs: int = 3, n_positions: int = 4, **changes: Any
) -> Problem:
    """Prompt pairs of one length, as nodes at each position need them."""
    batch = random_batch(n_prompts=n_pairs, n_positions=n_positions, same_length=True)
    return replace(training_problem(model), batches=[batch], **changes)

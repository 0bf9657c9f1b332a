"""The prompts of a cell: those that methods see, and those that circuits are measured on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.evaluation.circuits import passes
from benchmark.evaluation.metrics import evaluation_metrics
from benchmark.evaluation.whole_answers import WHOLE_ANSWER, n_positions_with_answers
from benchmark.forward.checks import check_read_positions
from benchmark.metric import Metric
from benchmark.models.check import check_longer
from benchmark.models.family import family_of
from benchmark.models.loading import LanguageModel
from benchmark.prompts.batch import Batch
from benchmark.prompts.dataset import batch_of, data_hash
from benchmark.prompts.notes import kept_content, longer_answers
from benchmark.prompts.task import PromptTask, Split
from benchmark.records.record import TASK
from benchmark.run.cell import Cell
from benchmark.seeds import derived_seed

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Prompts:
    """The prompts of a cell, and what to know of them.

    Attributes:
        train: of the train split.
        held_out: of the test split, in batches as circuits are measured on; none for a study that
            does not use them.
        digests: of the texts, by split, and of the task.
        warnings: what a reader should know.
    """

    train: Batch
    held_out: list[Batch]
    digests: dict[str, str]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, cell: Cell, model: LanguageModel) -> "Prompts":
        """Draw the prompts; a task that has fewer than asked for gives all it has.

        Raises:
            UserError: the model cannot read them, or differs from Hugging Face's at their length,
                or a split has too few, or a metric needs answers that a prompt has not.
        """
        batches, warnings = {}, []
        digests = {TASK: digest(cell.built_task.fingerprint())}
        wanted = {Split.train: cell.n_train}
        if "n_test" in cell.uses:
            wanted[Split.test] = cell.n_test
        seed = derived_seed(cell.seed, "prompts")
        for split, n_prompts in wanted.items():
            rows = cell.built_task.dataset(model.tokenizer, split, n_prompts, seed, or_fewer=True)
            if len(rows) < min(2, n_prompts):
                raise UserError(f"{cell.called['task']} has {len(rows)} {split.value} prompts")
            if len(rows) < n_prompts:
                warnings.append(
                    f"{len(rows)} {split.value} prompts, not {n_prompts}: all there are"
                )
            batch, words = _with_whole_answers(cell, batch_of(rows), split, model)
            _check_before_it_moves(cell, batch, split)
            batches[split] = batch.to(model.device)
            warnings += _notes(cell, rows, batch, split, model, words)
            digests[split.value] = data_hash(rows)
        longest = max(map(n_positions_with_answers, batches.values()))
        if longest > model.shape.n_ctx:
            raise UserError(
                f"prompts of {cell.called['task']} have up to {longest} tokens; "
                f"{model.name} reads {model.shape.n_ctx}"
            )
        if model.largest_logit_difference is not None:
            whole = model.hugging_face
            check_longer(model, whole, family_of(whole.config), model.name, longest)
        held_out = passes(batches[Split.test]) if Split.test in batches else []
        return cls(batches[Split.train], held_out, digests, tuple(warnings))


def _check_before_it_moves(cell: Cell, batch: Batch, split: Split) -> None:
    """What passes and metrics refuse in prompts: to look at them on a GPU is to wait for it."""
    metrics: dict[str, Metric] = {}
    if "attribution_metric" in cell.uses:
        metrics[cell.metric_name] = cell.built_metric
    if "evaluate_under" in cell.uses:
        metrics |= evaluation_metrics(cell.metric_name) if split is Split.test else {}
        check_read_positions(_keeps_first(cell), batch)
    largest = max(*batch.answers.flatten().tolist(), *batch.wrong.flatten().tolist(), 0)
    logits = torch.zeros(len(batch), largest + 1)
    for name, metric in metrics.items():
        try:
            metric(logits, batch, logits)
        except UserError as error:
            raise UserError(f"{cell.called['task']} under {name}: {error}") from None


def _keeps_first(cell: Cell) -> bool:
    """Whether an ablation of the cell spares the first position."""
    return any(one.keep_first for one in (cell.built_ablation, *cell.evaluation.values()))


def _with_whole_answers(
    cell: Cell, batch: Batch, split: Split, model: LanguageModel
) -> tuple[Batch, str]:
    """The prompts, with whole answers where circuits are measured on them; words to say which."""
    if batch.whole_answers is None:
        return batch, ""
    without = replace(batch, whole_answers=None)
    if split is not Split.test or "evaluate_under" not in cell.uses:
        return without, ""
    if n_positions_with_answers(batch) > model.shape.n_ctx:
        return without, f"; a prompt with its whole answer is longer than {model.name} reads"
    if model.tokenizer.unk_token_id in batch.whole_answers.unique().tolist():
        return without, f"; the tokenizer of {model.name} does not know all that follows it"
    return batch, f"; {WHOLE_ANSWER} counts all of them"


def _notes(
    cell: Cell,
    rows: "datasets.Dataset",
    batch: Batch,
    split: Split,
    model: LanguageModel,
    on_whole_answers: str,
) -> Iterator[str]:
    """What is to be known of the prompts of a split."""
    if isinstance(cell.built_task, PromptTask):
        if rows.info.description:
            yield rows.info.description
        yield from longer_answers(rows, split.value, model.tokenizer, on_whole_answers)
    if _keeps_first(cell):
        yield from kept_content(batch, split.value, model.tokenizer)

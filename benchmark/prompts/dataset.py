"""Prompts as `datasets` objects: made once per task, tokenizer, split and seed, then read back.

A row holds the texts, the tokens, the answers and a stable id, so that it can be read, saved and
shared without this package.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.prompts.batch import NO_ANSWER, Batch
from benchmark.prompts.encoding import EncodedPair, PromptPair

if TYPE_CHECKING:
    import datasets

HASHED = ("id", "clean", "corrupted", "answers", "wrong", "corrupted_answers")
# The column of all tokens of each right answer.
WHOLE = "whole_answer_tokens"
# To be raised whenever the same texts give other rows, so that older caches are not read.
FORMAT = 2


def row(pair: PromptPair, encoded: EncodedPair, name: str) -> dict[str, Any]:
    """One row: its id is the task's name and a digest of the texts."""
    texts = [pair.clean, pair.corrupted, *pair.answers, "", *pair.wrong]
    return {
        "id": f"{name}-{digest(texts)[:12]}",
        "clean": pair.clean,
        "corrupted": pair.corrupted,
        "answers": list(pair.answers),
        "wrong": list(pair.wrong),
        "corrupted_answers": list(pair.corrupted_answers),
        "template": pair.template,
        "subject": pair.subject,
        "subject_start": encoded.subject[0],
        "subject_stop": encoded.subject[1],
        "clean_tokens": encoded.clean,
        "corrupted_tokens": encoded.corrupted,
        "answer_tokens": encoded.answers,
        "wrong_tokens": encoded.wrong,
        "corrupted_answer_tokens": encoded.corrupted_answers,
        WHOLE: encoded.whole_answers,
    }


def data_hash(dataset: "datasets.Dataset") -> str:
    """The digest of all texts, answers and ids of a dataset, in order; tokens do not count."""
    return digest([dataset[name][:] for name in HASHED])


def data_digest(dataset: "datasets.Dataset") -> str:
    """The digest of all columns of any dataset."""
    return digest([dataset.column_names, *(dataset[name][:] for name in dataset.column_names)])


def cached(
    make: Callable[[], tuple[list[dict[str, Any]], str]],
    **facts: Any,  # noqa: ANN401
) -> "datasets.Dataset":
    """The dataset of the rows and the description that `make` gives.

    It is kept under a fingerprint of `facts` in the cache of `datasets`.
    """
    import datasets
    from datasets.config import HF_DATASETS_CACHE

    fingerprint = digest([FORMAT, facts])[:32]
    folder = Path(HF_DATASETS_CACHE) / "ablation-bench" / fingerprint
    if not folder.is_dir():
        rows, description = make()
        info = datasets.DatasetInfo(description=description)
        dataset = datasets.Dataset.from_list(rows, info=info)
        _save_atomically(dataset, folder)
    dataset = datasets.load_from_disk(str(folder))
    assert isinstance(dataset, datasets.Dataset)
    dataset._fingerprint = fingerprint
    return dataset


def batch_of(dataset: "datasets.Dataset") -> Batch:
    """All prompts of a dataset as one batch, read at their last tokens."""
    lengths = torch.tensor([len(tokens) for tokens in dataset["clean_tokens"]])
    return Batch(
        clean=padded_rows(dataset["clean_tokens"][:], 0),
        corrupted=padded_rows(dataset["corrupted_tokens"][:], 0),
        lengths=lengths,
        read_at=lengths - 1,
        answers=padded_rows(dataset["answer_tokens"][:], NO_ANSWER),
        wrong=padded_rows(dataset["wrong_tokens"][:], NO_ANSWER),
        ids=tuple(dataset["id"]),
        subject=_subjects(dataset),
        whole_answers=_whole_answers(dataset),
    )


def _subjects(dataset: "datasets.Dataset") -> Int[Tensor, "rows 2"] | None:
    """The positions of each prompt's subject, or None if no prompt has one."""
    ends = [dataset[name][:] for name in ("subject_start", "subject_stop")]
    return torch.tensor(ends).T.contiguous() if any(ends[1]) else None


def _whole_answers(dataset: "datasets.Dataset") -> Int[Tensor, "rows most longest"] | None:
    """All tokens of every right answer, or None if none has more than one, or none is known."""
    rows = dataset[WHOLE][:] if WHOLE in dataset.column_names else []
    longest = max((len(answer) for answers in rows for answer in answers), default=1)
    if longest == 1:
        return None
    most = max(map(len, rows))
    filled = [answers + [[]] * (most - len(answers)) for answers in rows]
    tokens = padded_rows([answer for answers in filled for answer in answers], NO_ANSWER)
    return tokens.view(len(rows), most, longest)


def padded_rows(rows: list[list[int]], fill: int) -> Int[Tensor, "rows longest"]:
    """Rows of token ids as one tensor, filled on the right."""
    width = max(map(len, rows))
    filled = [tokens + [fill] * (width - len(tokens)) for tokens in rows]
    return torch.tensor(filled, dtype=torch.long)


def _save_atomically(dataset: "datasets.Dataset", folder: Path) -> None:
    """Another process may make the same dataset at the same time; either copy will do."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as holder, quiet_datasets():
            temporary = Path(holder) / "dataset"
            dataset.save_to_disk(temporary)
            temporary.rename(folder)
    except OSError as error:
        if folder.is_dir():
            return
        raise UserError(
            f"prompts cannot be kept in {folder.parent}: {error}; set HF_DATASETS_CACHE to a "
            "folder that can be written"
        ) from error


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """No progress bars from Hugging Face's datasets inside the block."""
    import datasets

    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if bars:
            datasets.enable_progress_bars()

"""Your own prompts: a JSONL or CSV file, or a dataset of the Hugging Face hub.

Rows have the fields `clean`, `corrupted`, `answers` and `wrong`, and perhaps `corrupted_answers`,
`subject` and `split`. Answers are one text, a list of texts, or texts joined by "|", each with
its leading space. Rows without a split get one by a digest of their texts; rows that share a
prompt get the same one. A subject is a part of the clean prompt, as it stands there for the first
time; its positions are `Batch.subject`.

The two prompts of a row may have nothing in common but their number of tokens, as in the random
pairs of AtP* (after Kramar et al. 2024); `wrong` is then what continues the corrupted one. Texts of
as many words must still align word by word.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import datasets
from datasets import Dataset, DatasetDict

from benchmark.errors import UserError
from benchmark.prompts.dataset import data_digest
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.task import PromptTask, Split, split_of_text
from benchmark.seeds import derived_seed

FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
NEEDED = ("clean", "corrupted", "answers", "wrong")


@dataclass(frozen=True)
class OwnData(PromptTask):
    """Settings of a task on one's own prompts; see conf/task/own_data.yaml."""

    data: str
    revision: str | None
    metric: str
    version: ClassVar[int] = 1

    def pairs(self, split: Split, seed: int) -> Iterator[PromptPair]:
        """The pairs of a split, each once, shuffled by the seed."""
        rows = [row for own, row in self._rows_of_all_splits if own is split]
        Random(derived_seed(seed, "prompts", self.name, split.value)).shuffle(rows)
        yield from rows

    def fingerprint(self) -> dict[str, Any]:
        """Settings and the digest of the data."""
        return super().fingerprint() | {"data": data_digest(self._table)}

    @cached_property
    def _table(self) -> Dataset:
        """All rows, with their split where the data say it."""
        loaded = self._load()
        parts = []
        for name, part in loaded.items():
            named = len(loaded) > 1 and name in Split.__members__ and "split" not in part.features
            parts.append(part.add_column("split", [name] * len(part)) if named else part)
        table = datasets.concatenate_datasets(parts)
        missing = [field for field in NEEDED if field not in table.column_names]
        if missing:
            raise UserError(
                f"{self.data} has no field {missing[0]!r}; rows need {', '.join(NEEDED)}, and "
                f"these have {', '.join(table.column_names)}"
            )
        return table

    def _load(self) -> DatasetDict:
        path = Path(self.data)
        try:
            if path.suffix == ".csv":
                # As text: read as a number, an answer would lose the space before it.
                with path.open(newline="", encoding="utf-8") as file:
                    return DatasetDict({"rows": Dataset.from_list(list(csv.DictReader(file)))})
            if path.suffix in FORMATS:
                files = {"rows": str(path.resolve(strict=True))}
                return datasets.load_dataset(FORMATS[path.suffix], data_files=files)
            return datasets.load_dataset(self.data, revision=self.revision)
        except Exception as error:  # parsers, the hub and the file system share no base class
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"task.data={self.data!r} cannot be read as {', '.join(FORMATS)} or .csv, or as a "
                f"dataset of the Hugging Face hub: {reason}"
            ) from error

    @cached_property
    def _rows_of_all_splits(self) -> list[tuple[Split, PromptPair]]:
        rows = [
            (row.get("split") or None, _pair(row, f"{self.data} row {number}"))
            for number, row in enumerate(self._table.to_list(), start=1)
        ]
        unnamed = _split_together([pair for name, pair in rows if name is None])
        found = [
            (unnamed[pair.clean] if name is None else _named(name, self.data), pair)
            for name, pair in rows
        ]
        owner: dict[str, Split] = {}
        for split, pair in found:
            for text in (pair.clean, pair.corrupted):
                if owner.setdefault(text, split) is not split:
                    raise UserError(f"{self.data} has the prompt {text!r} in more than one split")
        return found


def _split_together(pairs: list[PromptPair]) -> dict[str, Split]:
    """The split of every text, the same for texts that a chain of pairs connects."""
    group: dict[str, set[str]] = {}
    for pair in pairs:
        merged = group.get(pair.clean, {pair.clean}) | group.get(pair.corrupted, {pair.corrupted})
        group.update(dict.fromkeys(merged, merged))
    return {text: split_of_text(min(together)) for text, together in group.items()}


def _named(name: str, data: str) -> Split:
    if name not in Split.__members__:
        raise UserError(
            f"{data} has a row with split {name!r}; write {', '.join(Split.__members__)}"
        )
    return Split[name]


def _pair(row: dict[str, Any], where: str) -> PromptPair:
    pair = PromptPair(
        clean=str(row["clean"] or ""),
        corrupted=str(row["corrupted"] or ""),
        answers=_texts(row["answers"]),
        wrong=_texts(row["wrong"]),
        corrupted_answers=_texts(row.get("corrupted_answers")),
        subject=str(row.get("subject") or ""),
    )
    empty = [field for field in NEEDED if not getattr(pair, field)]
    if empty:
        raise UserError(f"{where} has no {empty[0]!r}; every row needs {', '.join(NEEDED)}")
    if pair.subject not in pair.clean:
        raise UserError(f"{where} has the subject {pair.subject!r}, which is not in its 'clean'")
    return pair


def _texts(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - a cell of any format
    listed = value if isinstance(value, list) else str(value or "").split("|")
    return tuple(str(text) for text in listed if text)

"""Classification from demonstrations, of labelled texts in a file or on the Hugging Face hub.

Ten times "Review: a gripping film", "Answer: Positive.", then "Review: a dull film", "Answer:" ->
" Negative". Data sets and prompts are those of Halawi et al. (2023, arXiv 2307.09476), which Li &
Janson (2024, arXiv 2409.09951, section 5) take; every class is drawn equally often. A text belongs
to one split, as a query and as a demonstration.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.generated import GeneratedTask
from benchmark.prompts.task import Split, split_of_text
from benchmark.seeds import derived_seed
from tasks.demonstrations import Form, demonstrated

Classes = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class LabelledTexts(GeneratedTask):
    """Settings of labelled texts; see conf/task/labelled_texts.yaml.

    Raises:
        UserError: there are fewer than one demonstration, or the data cannot be used.
    """

    data: str
    subset: str | None
    revision: str | None
    part: str
    fields: list[str]
    label_field: str
    labels: dict[str, str]
    intro: str
    form: str
    between: str
    longest: int
    texts_per_class: int
    demonstrations: int
    version: ClassVar[int] = 1
    metric: ClassVar[str] = "logit_difference"

    def __post_init__(self) -> None:
        """Check what can be checked without the data."""
        for name in ("demonstrations", "longest", "texts_per_class"):
            if getattr(self, name) < 1:
                raise UserError(f"task.{name}={getattr(self, name)} must be 1 or more")
        if self.form.count("{}") != len(self.fields) + 1 or not self._head.endswith(" "):
            raise UserError(
                f"task.form={self.form!r} needs {{}} for {', '.join(self.fields)} and, after a "
                "space, {} for the label"
            )
        if len(set(self.labels.values())) < max(2, len(self.labels)):
            raise UserError(f"task.labels={self.labels} must name two classes or more, none twice")

    def draw(self, draw: Random) -> PromptPair:
        """One pair of texts of the train split."""
        return self._pair(draw, Split.train)

    def pairs(self, split: Split, seed: int) -> Iterator[PromptPair]:
        """Pairs of texts of the split, without end."""
        draw = Random(derived_seed(seed, "prompts", self.name, split.value))
        while True:
            yield self._pair(draw, split)

    def fingerprint(self) -> dict[str, Any]:
        """Settings, version and all texts; not the place of a file."""
        found = super().fingerprint()
        where = {"data": Path(self.data).name}
        texts = [self._of_split[split] for split in Split]
        return found | {"settings": found["settings"] | where, "texts": digest(texts)}

    @property
    def _head(self) -> str:
        """The form up to the label."""
        return self.form.rpartition("{}")[0]

    def _pair(self, draw: Random, split: Split) -> PromptPair:
        _, _, end = self.form.rpartition("{}")
        shown = Form("{}", end, self.between, self.intro)
        return demonstrated(draw, self._of_split[split], self.demonstrations, shown)

    @cached_property
    def _of_split(self) -> dict[Split, Classes]:
        """Label to texts, as they stand in prompts, of every split."""
        texts = self._texts
        found = {
            split: {
                label: tuple(text for text in texts[label] if split_of_text(text) is split)
                for label in texts
            }
            for split in Split
        }
        for split, classes in found.items():
            label, fewest = min(classes.items(), key=lambda item: len(item[1]))
            if len(fewest) <= self.demonstrations:
                raise UserError(
                    f"{self.data} has {len(fewest)} {split.value} texts of {label!r} of at most "
                    f"{self.longest} characters, and needs more than "
                    f"task.demonstrations={self.demonstrations}"
                )
        return found

    @cached_property
    def _texts(self) -> Classes:
        """The first texts of every class; of equal ones the first, of long ones none."""
        found: dict[str, dict[str, None]] = {label: {} for label in self.labels.values()}
        names = list(self.labels)
        others: set[str] = set()
        for number, row in enumerate(self._read(), start=1):
            label = self._label(str(self._of(row, self.label_field, number)), names)
            if label is None:
                others.add(str(row[self.label_field]))
                continue
            parts = (str(self._of(row, name, number)) for name in self.fields)
            text = self._head.format(*(" ".join(part.split()) for part in parts))
            if len(text) <= self.longest and len(found[label]) < self.texts_per_class:
                found[label][text] = None
        if others and not any(found.values()):
            raise UserError(
                f"{self.data} has no text of {', '.join(names)}; its labels are "
                f"{', '.join(sorted(others)[:10])}: name them in task.labels"
            )
        return {label: tuple(texts) for label, texts in found.items()}

    def _label(self, given: str, names: list[str]) -> str | None:
        """The word for a label that the data name, or number in the order of `labels`."""
        if given in self.labels:
            return self.labels[given]
        if given.isdecimal() and int(given) < len(names):
            return self.labels[names[int(given)]]
        return None

    def _of(self, row: dict[str, Any], field: str, number: int) -> Any:  # noqa: ANN401
        if row.get(field) is None:
            raise UserError(
                f"{self.data} row {number} has no {field!r}; it has {', '.join(map(str, row))}: "
                "name them by task.fields and task.label_field"
            )
        return row[field]

    def _read(self) -> Iterator[dict[str, Any]]:
        path = Path(self.data)
        try:
            match path.suffix.lower():
                case ".csv" | ".tsv":
                    with path.open(encoding="utf-8-sig", newline="") as file:
                        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
                        yield from csv.DictReader(file, delimiter=delimiter, strict=True)
                case ".jsonl":
                    with path.open(encoding="utf-8-sig") as file:
                        yield from (json.loads(line) for line in file if line.strip())
                case ".parquet":
                    from pyarrow.parquet import ParquetFile

                    for batch in ParquetFile(path).iter_batches():
                        yield from batch.to_pylist()
                case _:
                    yield from self._of_the_hub()
        except UserError:
            raise
        except Exception as error:  # parsers, the hub and the file system share no base class
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"task.data={self.data!r} cannot be read as .csv, .tsv, .jsonl or .parquet, or as "
                f"a dataset of the Hugging Face hub: {reason}"
            ) from error

    def _of_the_hub(self) -> Iterator[dict[str, Any]]:
        """Rows with the names of classes, where the dataset knows them."""
        import datasets

        loaded: Any = datasets.load_dataset(
            self.data, self.subset, revision=self.revision, split=self.part
        )
        named = loaded.features.get(self.label_field)
        for row in loaded:
            if isinstance(named, datasets.ClassLabel):
                row[self.label_field] = named.int2str(row[self.label_field])
            yield row

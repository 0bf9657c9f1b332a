"""Running text as a task: rows of as many tokens, and what comes next; for lenses, and for losses.

A row is a stretch of one document, and its corrupted counterpart is a stretch of another one that
goes on with another token. Documents belong to one split each, by a digest of their text, so the
splits share none.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from transformers import PreTrainedTokenizerBase

from benchmark.config import configured
from benchmark.digests import digest_of_file
from benchmark.errors import UserError
from benchmark.prompts.dataset import row
from benchmark.prompts.encoding import EncodedPair, PromptEncoder, PromptPair
from benchmark.prompts.task import PromptTask, Split, split_of_text
from benchmark.seeds import derived_seed

EMPTY_LINES = re.compile(r"\s*\n\s*\n\s*")
# Documents in a row without a new row, before a text is thought to have no more.
MOST_BARREN = 5_000


@dataclass(frozen=True)
class TextRow:
    """A stretch of a document, and the token after it."""

    document: str
    tokens: tuple[int, ...]
    following: int


@dataclass(frozen=True)
class Text(PromptTask, ABC):
    """Settings of a text; a subclass gives its documents.

    Attributes:
        length: tokens of a row, with the BOS token that it begins with if `prepend_bos`.
    """

    length: int
    metric: ClassVar[str] = "cross_entropy"
    version: ClassVar[int] = 1
    # Whether documents begin alike, so that rows, too, must belong to a split.
    repetitive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the range."""
        if self.length < 2:
            raise UserError(f"task.length={self.length} must be 2 or more")

    @abstractmethod
    def documents(self, seed: int) -> Iterator[str]:
        """Documents in the order of the seed, perhaps without end; repeats do no harm."""

    def pairs(self, split: Split, seed: int) -> Iterator[PromptPair]:
        """None: rows are cut by tokens, so what they say depends on the tokenizer."""
        raise NotImplementedError("a text has rows of tokens, not pairs of prompts")

    def _rows(
        self,
        tokenizer: PreTrainedTokenizerBase,
        split: Split,
        n_prompts: int,
        seed: int,
        or_fewer: bool,
    ) -> tuple[list[dict[str, Any]], str]:
        """Every row with the next one of another document that goes on differently."""
        rows = list(islice(self._text_rows(tokenizer, split, seed), n_prompts + 1))
        pairs = ((clean, _counterpart(rows, place)) for place, clean in enumerate(rows))
        found = [_pair(tokenizer, clean, other, self.name) for clean, other in pairs if other]
        if len(found) < n_prompts and not (found and or_fewer):
            raise UserError(
                f"{self.name} has {len(found)} {split.value} rows of {self.length} tokens, not the "
                f"{n_prompts} that were asked for; give a smaller task.length, or more text"
            )
        return found[:n_prompts], ""

    def _text_rows(
        self, tokenizer: PreTrainedTokenizerBase, split: Split, seed: int
    ) -> Iterator[TextRow]:
        start = PromptEncoder(tokenizer, self.prepend_bos).start
        stride = self.length - len(start)
        seen: set[tuple[int, ...]] = set()
        barren = 0
        for document in self.documents(seed):
            barren += 1
            if barren > MOST_BARREN:
                return
            if split_of_text(document) is not split:
                continue
            ids = tokenizer.encode(document, add_special_tokens=False)
            for first in range(0, len(ids) - stride, stride):
                tokens = (*start, *ids[first : first + stride])
                if tokens not in seen and (not self.repetitive or _split_of(tokens) is split):
                    seen.add(tokens)
                    barren = 0
                    yield TextRow(document, tokens, ids[first + stride])


@dataclass(frozen=True)
class ZooText(Text):
    """What the zoo's models were trained on; see conf/task/zoo_text.yaml."""

    sources: list[str]
    repetitive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the form of the sources."""
        super().__post_init__()
        for source in self.sources:
            if source.count("/") != 1:
                raise UserError(f"task.sources has {source!r}; write GROUP/NAME, as task/ioi")

    def documents(self, seed: int) -> Iterator[str]:
        """Texts of all sources in turn, without end."""
        writers = [configured(*source.split("/")) for source in self.sources]
        draw = Random(derived_seed(seed, "documents", self.name))
        while True:
            for writer in writers:
                yield writer.text(draw)


@dataclass(frozen=True)
class OwnText(Text):
    """One's own text, or a data set of the hub; see conf/task/own_text.yaml."""

    data: str
    revision: str | None
    part: str
    field: str
    n_documents: int

    def documents(self, seed: int) -> Iterator[str]:
        """The first documents of the data, shuffled by the seed."""
        documents = list(self._first_documents)
        Random(derived_seed(seed, "documents", self.name)).shuffle(documents)
        yield from documents

    def fingerprint(self) -> dict[str, Any]:
        """Settings, and the digest of a file."""
        path = Path(self.data)
        return super().fingerprint() | ({"data": digest_of_file(path)} if path.is_file() else {})

    @cached_property
    def _first_documents(self) -> list[str]:
        path = Path(self.data)
        try:
            if path.suffix == ".jsonl":
                found = list(self._of_lines(path))
            elif path.is_file() or path.suffix == ".txt":
                found = _paragraphs(path)
            else:
                found = list(self._of_the_hub())
        except UserError:
            raise
        except Exception as error:  # parsers, the hub and the file system share no base class
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"task.data={self.data!r} cannot be read as a text or .jsonl, or as a dataset of "
                f"the Hugging Face hub: {reason}"
            ) from error
        if not found:
            raise UserError(f"task.data={self.data!r} has no text")
        return found[: self.n_documents]

    def _of_lines(self, path: Path) -> Iterator[str]:
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
            if not line.strip():
                continue
            content = json.loads(line)
            if not isinstance(content, dict) or not isinstance(content.get(self.field), str):
                raise UserError(
                    f"{path} row {number} has no text under {self.field!r}; name its field by "
                    "task.field"
                )
            yield content[self.field]

    def _of_the_hub(self) -> Iterator[str]:
        import datasets

        loaded = datasets.load_dataset(
            self.data, revision=self.revision, split=self.part, streaming=True
        )
        return (content[self.field] for content in islice(loaded, self.n_documents))


def _paragraphs(path: Path) -> list[str]:
    """The documents of a plain text, which empty lines part; without any, its lines."""
    text = path.read_text(encoding="utf-8-sig").strip()
    parts = EMPTY_LINES.split(text)
    return parts if len(parts) > 1 else [line.strip() for line in text.splitlines()]


def _split_of(tokens: tuple[int, ...]) -> Split:
    return split_of_text(" ".join(map(str, tokens)))


def _counterpart(rows: list[TextRow], place: int) -> TextRow | None:
    """The next row, round the end, of another document that goes on differently."""
    mine = rows[place]
    others = (rows[(place + step) % len(rows)] for step in range(1, len(rows)))
    return next(
        (
            other
            for other in others
            if other.document != mine.document and other.following != mine.following
        ),
        None,
    )


def _pair(
    tokenizer: PreTrainedTokenizerBase, clean: TextRow, other: TextRow, name: str
) -> dict[str, Any]:
    def text(*tokens: int) -> str:
        return str(tokenizer.decode(list(tokens)))

    pair = PromptPair(
        clean=text(*clean.tokens),
        corrupted=text(*other.tokens),
        answers=(text(clean.following),),
        wrong=(text(other.following),),
        corrupted_answers=(text(other.following),),
    )
    encoded = EncodedPair(
        clean=list(clean.tokens),
        corrupted=list(other.tokens),
        answers=[clean.following],
        wrong=[other.following],
        corrupted_answers=[other.following],
        subject=(0, 0),
        whole_answers=[[clean.following]],
    )
    return row(pair, encoded, name)

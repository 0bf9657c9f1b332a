"""Your own prompts: a JSONL, CSV or Parquet file, or a dataset of the Hugging Face hub.

Rows have the fields `clean`, `corrupted`, `answers` and `wrong`, and perhaps `corrupted_answers`,
`subject` and `split`. Answers are one text or a list of texts, in a cell of CSV joined by "|", each
with its leading space. Rows without a split get one by a digest of their texts; rows that share a
prompt get the same one. A subject is a part of the clean prompt, as it stands there for the first
time; its positions are `Batch.subject`.

Text stays as it is; null and the empty text alone are missing. Answers may all be numbers or truth
values, which become the texts that JSON writes.

The two prompts of a row may have nothing in common but their number of tokens, as in the random
pairs of AtP* (after Kramar et al. 2024); `wrong` is then what continues the corrupted one. Texts of
as many words must still align word by word. A clean prompt may come several times, with other
corrupted prompts or other answers.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from random import Random
from typing import Any, ClassVar

from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.prompts.encoding import PromptPair
from benchmark.prompts.task import PromptTask, Split, split_of_text
from benchmark.seeds import derived_seed
from tasks.own_rows import ANSWERS, NEEDED, Number, Row, read_rows


@dataclass(frozen=True)
class OwnData(PromptTask):
    """Settings of a task on one's own prompts; see conf/task/own_data.yaml."""

    data: str
    revision: str | None
    metric: str
    version: ClassVar[int] = 2
    ends: ClassVar[bool] = True

    def pairs(self, split: Split, seed: int) -> Iterator[PromptPair]:
        """The pairs of a split, each once, shuffled by the seed."""
        rows = [row for own, row in self._rows_of_all_splits if own is split]
        Random(derived_seed(seed, "prompts", self.name, split.value)).shuffle(rows)
        yield from rows

    def identity(self, pair: PromptPair) -> tuple[Any, ...]:
        """One clean prompt may have several corrupted ones."""
        return pair.clean, pair.corrupted, pair.answers, pair.wrong

    def fingerprint(self) -> dict[str, Any]:
        """Settings and the digest of the data."""
        rows = [[split.value, asdict(pair)] for split, pair in self._rows_of_all_splits]
        return super().fingerprint() | {"data": digest(rows)}

    @cached_property
    def _rows_of_all_splits(self) -> list[tuple[Split, PromptPair]]:
        table = read_rows(self.data, self.revision)
        _refuse_mixed_types(table)
        rows = [(_text(row, "split", where), _pair(row, where), where) for where, row in table]
        unnamed = _split_together([pair for name, pair, _ in rows if not name])
        found = [
            (_named(name, where) if name else unnamed[pair.clean], pair)
            for name, pair, where in rows
        ]
        owner: dict[str, Split] = {}
        for split, pair in found:
            for text in (pair.clean, pair.corrupted):
                if owner.setdefault(text, split) is not split:
                    raise UserError(f"{self.data} has the prompt {text!r} in more than one split")
        return found


def _split_together(pairs: list[PromptPair]) -> dict[str, Split]:
    """The split of every text, the same for texts that a chain of pairs connects."""
    before: dict[str, str] = {}

    def first(text: str) -> str:
        """The first by alphabet of the texts that are connected to this one."""
        while before.setdefault(text, text) != text:
            before[text] = text = before[before[text]]
        return text

    for pair in pairs:
        one, other = sorted((first(pair.clean), first(pair.corrupted)))
        before[other] = one
    return {text: split_of_text(first(text)) for text in list(before)}


def _named(name: str, where: str) -> Split:
    if name not in Split.__members__:
        listed = ", ".join(Split.__members__)
        raise UserError(f"{where} is a row with split {name!r}; write {listed}")
    return Split[name]


def _pair(row: dict[str, Any], where: str) -> PromptPair:
    answers, wrong, corrupted_answers = (
        tuple(text for value in _listed(row.get(name)) if (text := _written(value, name, where)))
        for name in ANSWERS
    )
    pair = PromptPair(
        clean=_text(row, "clean", where),
        corrupted=_text(row, "corrupted", where),
        answers=answers,
        wrong=wrong,
        corrupted_answers=corrupted_answers,
        subject=_text(row, "subject", where),
    )
    empty = [field for field in NEEDED if not getattr(pair, field)]
    if empty:
        raise UserError(f"{where} has no {empty[0]!r}; every row needs {', '.join(NEEDED)}")
    if pair.subject not in pair.clean:
        raise UserError(f"{where} has the subject {pair.subject!r}, which is not in its 'clean'")
    return pair


def _text(row: dict[str, Any], name: str, where: str) -> str:
    """A field that must be a text, empty if it is missing."""
    value = row.get(name)
    if value is not None and _type(value) != "text":
        raise UserError(f"{where} has the {_said(value)} in {name!r}; write a text, in quotes")
    return _written(value, name, where)


def _written(value: Any, name: str, where: str) -> str:  # noqa: ANN401 - a cell of any format
    """A text, number or truth value as JSON writes it, without quotes; nothing for null."""
    if value is None:
        return ""
    if _type(value) == "other":
        raise UserError(f"{where} has {str(value)[:80]} in {name!r}; write a text")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where} has half of a character in {name!r}: {error}") from error
    return text


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - a cell of any format
    return value if isinstance(value, list) else [value]


def _type(value: Any) -> str:  # noqa: ANN401 - a cell of any format
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float | Number) and value == value:
        return "number"
    return "text" if isinstance(value, str) else "other"


def _refuse_mixed_types(table: list[Row]) -> None:
    """Among texts with their spaces, a number would lose its own."""
    first: tuple[str, Any] | None = None
    for where, row in table:
        for name in ANSWERS:
            for value in _listed(row.get(name)):
                if value in (None, "") or _type(value) == "other":
                    continue
                first = first or (where, value)
                if _type(value) != _type(first[1]):
                    before = f"row {first[0].rpartition(' ')[2]} has the {_said(first[1])}"
                    raise UserError(
                        f"{where} has the {_said(value)} in {name!r}, and {before}; write all "
                        "answers as texts, with their spaces"
                    )


def _said(value: Any) -> str:  # noqa: ANN401 - a cell of any format
    shown = repr(value) if _type(value) == "text" else str(value)
    return f"{_type(value)} {shown}"

"""Where facts are read from: the lists that ship, and files in the form of Meng et al. (2022)."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from tasks.words import lines

PLACE = "{}"
NEEDED = ("prompt", "subject", "attribute")


@dataclass(frozen=True)
class Fact:
    """A fact, and the sentences that ask for it.

    Attributes:
        relation: what is asked about the subject.
        templates: sentences with {} for the subject, up to the answer.
        subject: whom or what the fact is about.
        answer: what continues the sentences, without the space before it.
    """

    relation: str
    templates: tuple[str, ...]
    subject: str
    answer: str


@cache
def facts_of_list(name: str) -> list[Fact]:
    """The facts of a list that ships: a heading, templates, and lines `subject = answer`."""
    facts: list[Fact] = []
    relation, templates = "", ()
    for line in lines(name):
        if line.startswith("["):
            relation, templates = line.strip("[]"), ()
        elif PLACE in line:
            templates = (*templates, line)
        else:
            subject, answer = line.split(" = ")
            facts.append(Fact(relation, templates, subject, answer))
    return facts


def facts_of_file(path: Path, where: str, lists: Sequence[str]) -> list[Fact]:
    """The facts of a JSON or JSONL file.

    Args:
        path: the file.
        where: how messages name it.
        lists: what may be named instead of a file.

    Raises:
        UserError: it cannot be read, or a row cannot be used; the message names the row.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = _rows(text)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{where} is none of {', '.join(lists)}, and cannot be read as JSON or JSONL: {error}"
        ) from error
    if not rows:
        raise UserError(f"{where} has no rows")
    return [_fact(row, f"{where} row {number}") for number, row in enumerate(rows, start=1)]


def _rows(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _fact(row: Any, where: str) -> Fact:  # noqa: ANN401 - whatever the file has
    """A row's fact; the file of Meng et al. has its sentence with {} in `template`."""
    found = row if isinstance(row, dict) else {}
    for field in NEEDED:
        if not isinstance(found.get(field), str) or not found[field].strip():
            raise UserError(f"{where} has no text {field!r}; every row needs {', '.join(NEEDED)}")
    subject, sentence = found["subject"].strip(), str(found.get("template") or found["prompt"])
    alone = re.compile(rf"(?<!\w){re.escape(subject)}(?!\w)")
    template = sentence if PLACE in sentence else alone.sub(PLACE, sentence, count=1)
    if template.count(PLACE) != 1:
        raise UserError(f"{where} has the subject {subject!r}, which is not once in its prompt")
    before, after = template.strip().split(PLACE)
    if not before + after:
        raise UserError(f"{where} has the subject {subject!r}, which is its whole prompt")
    if subject in before or alone.search(after):
        raise UserError(f"{where} has the subject {subject!r} twice in its prompt")
    relation = str(found.get("relation_id") or "facts")
    return Fact(relation, (template.strip(),), subject, found["attribute"].strip())

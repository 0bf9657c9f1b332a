"""Running text: rows of one length, what follows them, documents of one split each."""

import json
import re

import pytest

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.models.tokenizer import load_tokenizer
from benchmark.prompts.task import Split
from benchmark.zoo.cards import zoo_directory

WORDS = "Mary went to the store and bought a ring . John gave a drink to Mary ."


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(str(zoo_directory("toy_gpt2")), None, 100_000)


def own_text(path, **changes):
    return configured("task", "own_text", data=str(path), **({"length": 5} | changes))


def lines(tokenizer, n=60):
    """Documents of ten known words each."""
    vocabulary = [word for word in sorted(tokenizer.get_vocab()) if re.fullmatch(r"\w+", word)]
    return [" ".join(vocabulary[10 * i : 10 * i + 10]) for i in range(n)]


def test_rows_are_windows_of_documents_and_what_follows(tokenizer, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(documents := lines(tokenizer)))
    rows = own_text(path).dataset(tokenizer, Split.train, 200, or_fewer=True)
    known = [tokenizer.encode(text, add_special_tokens=False) for text in documents]
    for row in rows:
        for tokens, (following,) in (
            (row["clean_tokens"], row["answer_tokens"]),
            (row["corrupted_tokens"], row["wrong_tokens"]),
        ):
            bos, *window = tokens
            assert bos == tokenizer.bos_token_id
            assert len(window) == 4
            places = [
                (ids, at)
                for ids in known
                for at in (0, 4)
                if ids[at : at + 5] == [*window, following]
            ]
            assert places
        assert row["answer_tokens"] != row["wrong_tokens"]
    assert len({tuple(row["clean_tokens"]) for row in rows}) == len(rows)


def test_documents_belong_to_one_split_each(tokenizer, tmp_path):
    path = tmp_path / "text.jsonl"
    path.write_text("\n".join(json.dumps({"body": text}) for text in lines(tokenizer)))
    seen = {
        split: {
            tuple(row[side])
            for row in own_text(path, field="body").dataset(tokenizer, split, 99, or_fewer=True)
            for side in ("clean_tokens", "corrupted_tokens")
        }
        for split in Split
    }
    train, validation, test = seen.values()
    assert train
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_the_zoos_text_is_endless_and_the_same_every_time(tokenizer):
    task = configured("task", "zoo_text")
    one, other = (task.batch(tokenizer, Split.test, 50) for _ in range(2))
    assert one.clean.tolist() == other.clean.tolist()
    assert one.clean.shape == (50, 8)
    assert tokenizer.unk_token_id not in one.clean
    assert (one.read_at == 7).all()
    train = task.batch(tokenizer, Split.train, 200).clean
    assert not {*map(tuple, train.tolist())} & {*map(tuple, one.clean.tolist())}


def test_a_changed_file_is_another_task(tokenizer, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(lines(tokenizer)))
    before = own_text(path).fingerprint()
    path.write_text(path.read_text() + "\n\n" + WORDS)
    assert own_text(path).fingerprint() != before


def test_what_cannot_be_read_is_one_line(tokenizer, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(WORDS)
    with pytest.raises(UserError, match=r"rows of 5 tokens, not the 10 that were asked for"):
        own_text(path).dataset(tokenizer, Split.train, 10)
    with pytest.raises(UserError, match=r"task.length=1 must be 2 or more"):
        own_text(path, length=1)
    with pytest.raises(UserError, match=r"cannot be read as a text or [.]jsonl"):
        own_text(tmp_path / "none.txt").dataset(tokenizer, Split.train, 10)
    broken = tmp_path / "text.jsonl"
    broken.write_text('{"text": "a b"}\n{"text": 3}\n')
    with pytest.raises(UserError, match=r"row 2 has no text under 'text'"):
        own_text(broken).dataset(tokenizer, Split.train, 10)
    broken.write_text('{"text": "a b"}\n{"te')
    with pytest.raises(UserError, match=r"cannot be read as a text or [.]jsonl"):
        own_text(broken).dataset(tokenizer, Split.train, 10)


@pytest.mark.parametrize(
    ("name", "between"), [("lines.txt", "\n"), ("spaces.txt", "\n \t\n"), ("notes.md", "\n\n\n")]
)
def test_documents_of_any_text_file_are_its_parts_or_else_its_lines(tmp_path, name, between):
    documents = [f"this is document {number} of many" for number in range(5)]
    path = tmp_path / name
    path.write_text(between.join(documents) + "\n")
    assert sorted(own_text(path).documents(0)) == documents
    path.write_text(" \n")
    with pytest.raises(UserError, match="has no text"):
        next(own_text(path).documents(0))

"""Windows of a stream of tokens, read from a data set."""

import json

import numpy as np
import pytest
import torch

from benchmark.errors import UserError
from benchmark.pretraining.hub_text import HubText
from benchmark.zoo.cards import zoo_directory

STORIES = [f"Mary went to the store with John. John gave {number} to Mary." for number in range(9)]


@pytest.fixture
def text(tmp_path):
    for part in ("train", "validation"):
        rows = [json.dumps({"text": story}) for story in STORIES]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(rows))

    def made(**changes):
        settings = dict(
            data=str(tmp_path), revision=None, part="train", held_out_part="validation",
            field="text", n_documents=None, tokenizer=str(zoo_directory("tiny_gpt2")), length=10,
        )  # fmt: skip
        return HubText(**(settings | changes))

    return made


def test_the_stream_is_every_document_and_its_end_token(text):
    tokenizer = text().read_tokenizer()
    windows = text(n_documents=2).windows(tokenizer, "train", 0)
    expected = [
        token
        for story in STORIES[:2]
        for token in (*tokenizer.encode(story), tokenizer.eos_token_id)
    ]
    assert windows.stream.dtype == np.uint16
    assert windows.stream.tolist() == expected


def test_windows_are_stretches_of_the_stream_that_depend_on_the_step_alone(text):
    tokenizer = text().read_tokenizer()
    windows = text().windows(tokenizer, "train", 3)
    (rows,) = windows.step(5, 40)
    assert rows.shape == (40, 11)
    assert torch.equal(rows, text().windows(tokenizer, "train", 3).step(5, 40)[0])
    assert not torch.equal(rows, windows.step(6, 40)[0])
    stream = " ".join(map(str, windows.stream.tolist()))
    assert all(" ".join(map(str, row)) in stream for row in rows.tolist())
    assert len({tuple(row) for row in rows.tolist()}) > 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(length=1000), "tokens in train, fewer than a window of 1000"),
        (dict(field="story"), "cannot be read: .*story"),
        (dict(data="nowhere/at_all"), "hub_text.data=nowhere/at_all cannot be read"),
        (dict(tokenizer="nowhere/at_all"), "hub_text.tokenizer=nowhere/at_all cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_line(text, changes, message):
    with pytest.raises(UserError, match=message):
        text(**changes).windows(text(**changes).read_tokenizer(), "train", 0)

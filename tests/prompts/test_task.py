"""Prompts of a task: made once, nested in sizes, told apart by all that decides them."""

import re

import pytest
from support.tasks import tokenizer_for

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.prompts.generated import N_FINGERPRINT_PAIRS
from benchmark.prompts.task import Split
from tasks.words import names


@pytest.mark.slow
def test_asking_for_more_than_there_is_says_how_many_there_are():
    task, tokenizer = configured("task", "country_capital"), tokenizer_for("country_capital")
    with pytest.raises(UserError, match=r"has \d+ test prompts .* not the 1000") as caught:
        task.dataset(tokenizer, Split.test, 1000)
    n_prompts = int(re.search(r"has (\d+)", str(caught.value)).group(1))
    assert len(task.dataset(tokenizer, Split.test, 1000, or_fewer=True)) == n_prompts
    with pytest.raises(UserError, match="0 prompts were asked"):
        task.dataset(tokenizer, Split.test, 0)


def test_prompts_are_made_once_and_then_read_back(monkeypatch):
    from tasks.ioi import IOI

    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    first = task.dataset(tokenizer, Split.train, 25, seed=11)
    draw, draws = IOI.draw, []
    monkeypatch.setattr(IOI, "draw", lambda *given: draws.append(given) or draw(*given))
    again = task.dataset(tokenizer, Split.train, 25, seed=11)
    assert first.to_list() == again.to_list()
    assert first._fingerprint == again._fingerprint
    assert len(draws) == N_FINGERPRINT_PAIRS
    configured("task", "ioi", order="abba").dataset(tokenizer, Split.train, 25, seed=11)
    assert len(draws) > 2 * N_FINGERPRINT_PAIRS


def test_changed_words_make_new_prompts(monkeypatch):
    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    before = task.dataset(tokenizer, Split.train, 25, seed=12)
    other = ("Zoe", *names()[1:])
    monkeypatch.setattr("tasks.ioi.names", lambda: other)
    after = task.dataset(tokenizer, Split.train, 25, seed=12)
    assert before._fingerprint != after._fingerprint


def test_another_process_may_make_the_same_dataset_first(monkeypatch):
    from benchmark.prompts import dataset as prompt_data

    save, calls = prompt_data._save_atomically, []

    def save_twice(dataset, folder):
        calls.append(folder)
        save(dataset, folder)
        save(dataset, folder)

    monkeypatch.setattr(prompt_data, "_save_atomically", save_twice)
    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    assert len(task.dataset(tokenizer, Split.train, 5, seed=13)) == 5
    assert len(calls) == 1
    assert [path for path in calls[0].parent.iterdir() if path.name.startswith("tmp")] == []


def test_how_a_batch_was_padded_last_is_no_part_of_a_fingerprint():
    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    before = task.dataset(tokenizer, Split.train, 5)
    tokenizer(["a b c", "a"], padding=True, truncation=True, max_length=5)
    assert task.dataset(tokenizer, Split.train, 5)._fingerprint == before._fingerprint


def test_seeds_and_sizes_nest():
    task, tokenizer = configured("task", "ioi"), tokenizer_for("ioi")
    few, many, other = (
        task.dataset(tokenizer, Split.train, n, seed) for n, seed in ((10, 0), (30, 0), (30, 1))
    )
    assert many["id"][:10] == few["id"][:]
    assert set(many["id"]) != set(other["id"])

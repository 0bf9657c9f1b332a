"""The name that is mentioned once."""

from collections import Counter

import pytest
from support.tasks import tokenizer_for, words

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.prompts.task import Split
from tasks.words import names

HASHES = {
    "ioi": "715fbac63975ce4516789707a1b86e2f33c111759b4958b372b88ef69674a08e",
    "ioi_abba": "6933e5cf2db6801787a312a24ae8949acf7febfbd6ba8c659510f35f5bd6ba2a",
    "ioi_baba": "a0c4890d3edff53600d132b991c8448e42fcc558110442bd24e674eb90ab78a5",
    "ioi_io_flip": "f2f0a00fa9f9ceb1aad439944dd29424e954a14a6f39c952c0b779ca9304eda3",
    "ioi_single_template": "fd1dc8101abdee9f7e0aa12fcf121c052116c73248e49079b8f0190a604d7c8b",
    "ioi_single_template_mixed": "ec9f8c01c2f43683fcc95f43923ace2f843dfce450e62ee041dfb3933f3b5134",
    "ioi_six_names": "7d024d2edfa34b6386287e8bfeee8e64ba25a4b7b532cabc8e1f8fe382f04d22",
    "ioi_third_name": "fd155a545d3c61bbb74eafd204208006b2527d87295ce34810748855246759e5",
}


def solve(prompt):
    mentioned = Counter(word for word in words(prompt) if word in names())
    return {name for name, times in mentioned.items() if times == 1}


@pytest.mark.parametrize(
    ("option", "changes", "message"),
    [
        ("ioi", dict(templates=[0]), r"templates=\[0\] must name templates 1 to 15"),
        ("ioi", dict(templates=[]), "must name templates"),
        ("ioi", dict(order="abab"), "task.order cannot be used: Invalid value 'abab'"),
        ("ioi_six_names", dict(places=[]), r"places is empty; .* such as task.places=\[bar\]"),
    ],
)
def test_settings_out_of_range_are_refused(option, changes, message):
    with pytest.raises(UserError, match=message):
        configured("task", option, **changes)


@pytest.mark.parametrize(
    ("option", "corrupted_names"),
    [("ioi", 0), ("ioi_third_name", 2), ("ioi_io_flip", 2)],
)
def test_published_corruptions_of_ioi(option, corrupted_names):
    """How many of the first clause's names the corrupted prompt keeps, and that S2 changes."""
    rows = configured("task", option).dataset(tokenizer_for(option), Split.train, 40)
    for row in rows:
        clean, corrupted = (
            [word for word in words(row[key]) if word in names()] for key in ("clean", "corrupted")
        )
        assert len(set(clean[:2]) & set(corrupted[:2])) == corrupted_names
        assert clean[2] != corrupted[2]
        if option == "ioi_io_flip":
            assert set(clean) == set(corrupted)
        if option != "ioi_io_flip":
            assert corrupted[2] not in clean


def test_orders_of_ioi():
    for option, first in (("ioi_abba", "answers"), ("ioi_baba", "wrong")):
        for row in configured("task", option).dataset(tokenizer_for(option), Split.train, 20):
            mentioned = [word for word in words(row["clean"]) if word in names()]
            assert f" {mentioned[0]}" == row[first][0]

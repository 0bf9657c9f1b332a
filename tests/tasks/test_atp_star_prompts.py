"""The prompt distributions of AtP*: how many pairs, one length, and what their prompts hold."""

import re
from random import Random

import pytest

from benchmark.config import configured
from benchmark.forward.passes import clean_logits
from benchmark.metric import Accuracy
from benchmark.models.loading import load_model
from benchmark.prompts.task import Split

NEEDED_BY_IMPORTANCE = 100


def drawn(option, n_pairs=3000, **changes):
    task, draw = configured("task", option, **changes), Random(0)
    return [task.draw(draw) for _ in range(n_pairs)]


def test_six_names_make_120_pairs_of_30_clean_prompts_in_each_place():
    for places in (["bar"], ["bar", "store"]):
        pairs = drawn("ioi_six_names", places=places)
        assert len({(pair.clean, pair.corrupted) for pair in pairs}) == 120 * len(places)
        assert len({pair.clean for pair in pairs}) == 30 * len(places)
    published = next(pair for pair in pairs if " Michael and Jessica went to the bar" in pair.clean)
    assert published.clean == "When Michael and Jessica went to the bar, Michael gave a drink to"
    assert published.answers == (" Jessica",)
    assert published.wrong == (" Michael",)


def test_only_the_second_mention_of_the_subject_changes():
    for pair in drawn("ioi_six_names"):
        clean, corrupted = pair.clean.split(), pair.corrupted.split()
        changed = [position for position, word in enumerate(clean) if word != corrupted[position]]
        assert changed == [8]
        assert clean[8] == clean[1]
        assert corrupted[8] not in clean


def test_the_things_make_100_pairs_beside_every_two_examples():
    pairs = drawn("indefinite_article")
    wanted = [[re.findall(r"one (\w+)\.", text) for text in (p.clean, p.corrupted)] for p in pairs]
    assert len({(clean[-1], corrupted[-1]) for clean, corrupted in wanted}) == 100
    assert all(clean[:2] == corrupted[:2] for clean, corrupted in wanted)
    assert all(len({*clean, corrupted[-1]}) == 4 for clean, corrupted in wanted)


def test_both_examples_use_the_right_article_and_show_both():
    for pair in drawn("indefinite_article", 200):
        first, second = re.findall(r"pick up (\w+) (\w+) for me\?\n", pair.clean)
        assert first[0] == "a"
        assert first[1][0] not in "aeiou"
        assert second[0] == "an"
        assert second[1][0] in "aeiou"
        assert pair.clean.endswith(f"I want one {pair.subject}. Can you pick up")


@pytest.mark.parametrize("name", ["tiny_gpt2", "toy_llama"])
def test_models_of_the_zoo_find_the_indirect_object_among_six_names(name):
    """In prompts of one length, as many as the importance of nodes at positions needs."""
    model = load_model(name)
    batch = configured("task", "ioi_six_names").batch(
        model.tokenizer, Split.train, NEEDED_BY_IMPORTANCE
    )
    assert batch.lengths.unique().numel() == 1
    logits = clean_logits(model, batch.clean, batch.read_at)
    assert Accuracy()(logits, batch, logits).mean() == 1

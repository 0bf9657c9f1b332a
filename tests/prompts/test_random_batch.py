"""Prompts of random tokens."""

import torch

from benchmark.prompts.random_batch import random_batch


def test_the_same_settings_give_the_same_prompts_and_another_name_others():
    first, again, other = (random_batch(seed=3, name=name) for name in ("a", "a", "b"))
    assert torch.equal(first.clean, again.clean) and first.ids == again.ids
    assert not torch.equal(first.clean, other.clean)


def test_lengths_first_token_and_answers_are_those_asked_for():
    batch = random_batch(20, 200, 9, first_token=7)
    assert batch.clean.shape == (200, 9) and int(batch.clean.max()) == 19
    assert set(batch.lengths.tolist()) == set(range(3, 10)) and batch.lengths[0] == 9
    assert bool((batch.clean[:, 0] == 7).all()) and bool((batch.corrupted[:, 0] == 7).all())
    assert all(len(set(row)) == 4 for row in torch.cat([batch.answers, batch.wrong], 1).tolist())
    assert bool((random_batch(20, 5, 9, same_length=True).lengths == 9).all())

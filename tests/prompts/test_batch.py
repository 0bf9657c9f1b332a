from dataclasses import replace

import pytest
import torch
from support.prompts import random_batch

from benchmark.errors import UserError
from benchmark.prompts.batch import concatenate


def test_selecting_splitting_and_joining_keep_every_prompt():
    batch = random_batch(n_prompts=7)
    again = concatenate(batch.split(3))
    assert [len(part) for part in batch.split(3)] == [3, 3, 1]
    for name in ("clean", "corrupted", "lengths", "read_at", "answers", "wrong"):
        assert torch.equal(getattr(batch, name), getattr(again, name))
    assert again.ids == batch.ids
    chosen = batch.select(torch.tensor([4, 1]))
    assert chosen.ids == (batch.ids[4], batch.ids[1])
    assert torch.equal(chosen.clean, batch.clean[[4, 1]])


def test_joining_pads_positions_and_answers():
    short, long = random_batch(n_positions=4), random_batch(n_positions=9, seed=1)
    joined = concatenate([replace(short, answers=short.answers[:, :1]), long])
    assert joined.clean.shape == (8, 9)
    assert joined.answers[:4, 1].tolist() == [-1] * 4
    assert joined.real.sum() == short.lengths.sum() + long.lengths.sum()
    assert torch.equal(joined.select(torch.arange(4)).trimmed().clean, short.trimmed().clean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(corrupted=torch.zeros(4, 9, dtype=torch.long)), "aligned token by token"),
        (dict(lengths=torch.tensor([8, 9, 3, 3])), r"lie in 1\.\.8"),
        (dict(lengths=torch.tensor([8, 0, 3, 3])), r"lie in 1\.\.8"),
        (dict(read_at=torch.tensor([8, 1, 1, 1])), "real position"),
        (dict(ids=("only one",)), "as many"),
        (dict(ids=("a", "b", "a", "c")), "the same id"),
        (
            dict(answers=torch.tensor([[3, 3], [1, -1], [-1, -1], [1, 2]])),
            "twice among its answers",
        ),
    ],
)
def test_batches_that_disagree_are_refused(change, message):
    batch = random_batch(same_length=True)
    with pytest.raises(UserError, match=message):
        replace(batch, **change)


def test_joining_nothing_is_refused():
    with pytest.raises(UserError, match="no prompts"):
        concatenate([])


def with_subjects(batch):
    stop = torch.arange(len(batch)).clamp(max=2) + 1
    return replace(batch, subject=torch.stack([stop - 1, stop], 1))


def test_subjects_follow_their_prompts():
    batch = with_subjects(random_batch(n_prompts=7, n_positions=6))
    for again in (
        concatenate(batch.split(3)),
        concatenate([part.padded(9) for part in batch.in_parts(2)]).trimmed(),
        batch.padded(8).trimmed().to("cpu"),
    ):
        assert torch.equal(again.subject, batch.subject)
    chosen = batch.select(torch.tensor([4, 1]))
    assert torch.equal(chosen.subject, batch.subject[[4, 1]])
    without = random_batch(n_positions=4, seed=1)
    joined = concatenate([without, batch])
    assert joined.subject.tolist() == [[0, 0]] * 4 + batch.subject.tolist()
    assert concatenate([without, random_batch(seed=2)]).subject is None


@pytest.mark.parametrize("subject", [(2, 1), (-1, 1), (0, 9)])
def test_a_subject_outside_its_prompt_is_refused(subject):
    with pytest.raises(UserError, match="a subject must lie in its prompt"):
        replace(random_batch(), subject=torch.tensor([subject] * 4))

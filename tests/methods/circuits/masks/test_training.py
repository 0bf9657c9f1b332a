"""Masks and constants that are trained together."""

from dataclasses import replace

import pytest
import torch
from support.prompts import random_batch
from support.values import largest, random_masks

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.training.sampler import FixedMasks, MaskSampler
from methods.circuits.masks.training import train_masks


def train_jointly(model, sampler, optimal, batch, **options):
    """Masks and constants by the settings of the ablation."""
    settings = dict(steps=optimal.steps, batch_size=optimal.batch_size, seed=optimal.seed)
    rate = dict(constants_learning_rate=optimal.learning_rate)
    return train_masks(model, sampler, optimal, [batch], **settings, **rate, **options)


class SigmoidMasks:
    """The smallest mask learner: a logit per edge, hard zeros below a half, a price per edge."""

    def __init__(self, graph, price):
        self.logits = torch.full(graph.exists.shape, 1.0, requires_grad=True)
        self.exists, self.per_edge = graph.exists, price
        self.optimizer = torch.optim.SGD([self.logits], lr=20.0)
        self.n_masks = 1

    def sample(self, step):
        keep = self.logits.sigmoid() * self.exists
        return (keep * (keep > 0.5))[None]

    def price(self):
        return self.per_edge * (self.logits.sigmoid() * self.exists).sum()

    def update(self):
        self.optimizer.step()
        self.optimizer.zero_grad()

    def state(self):
        return {"logits": self.logits.detach().clone()}

    def restore(self, state):
        with torch.no_grad():
            self.logits.copy_(state["logits"])


@pytest.mark.slow
def test_joint_training_moves_both_masks_and_constants(tiny, tmp_path, monkeypatch):
    batch = random_batch(d_vocab=20, n_prompts=16)
    optimal = configured("ablation", "optimal", steps=40, batch_size=8)

    def learner():
        return SigmoidMasks(tiny.graph, price=1e-2)

    sampler = learner()
    assert isinstance(sampler, MaskSampler)
    assert isinstance(FixedMasks(random_masks(tiny.graph, 1)), MaskSampler)
    constants = train_jointly(tiny, sampler, optimal, batch)
    kept = int((sampler.sample(0) > 0).sum())
    assert 0 < kept < tiny.graph.n_edges
    moved = largest(constants.values.heads, optimal.fit(tiny, [batch]).values.heads)
    assert moved > 1e-3
    monkeypatch.setattr("benchmark.training.loop.CHECKPOINT_EVERY", 10)
    first, path = learner(), tmp_path / "joint.pt"
    train_jointly(tiny, first, replace(optimal, steps=20), batch, checkpoint=path)
    second = learner()
    resumed = train_jointly(tiny, second, optimal, batch, checkpoint=path)
    assert torch.equal(second.logits, sampler.logits)
    assert torch.equal(resumed.values.heads, constants.values.heads)


def test_partly_kept_sources_move_their_constants_only_if_masks_stand_still(tiny):
    """While masks are trained too, a constant learns only from fully ablated edges."""
    batch = random_batch(d_vocab=20, n_prompts=4)
    half = 0.5 * tiny.graph.exists[None].float()
    optimal = configured("ablation", "optimal", steps=3, batch_size=4)
    start = optimal.fit(tiny, [batch]).values.tensors
    jointly = train_jointly(tiny, FixedMasks(half), optimal, batch).values.tensors
    assert all(map(torch.equal, jointly, start))
    alone = optimal.train(tiny, half, [batch]).values.tensors
    assert not any(map(torch.equal, alone, start))


def test_a_checkpoint_of_joint_training_is_not_one_of_fixed_masks(tiny, tmp_path):
    batch = random_batch(d_vocab=20, n_prompts=4)
    optimal = configured("ablation", "optimal", steps=1, batch_size=4)
    sampler, path = SigmoidMasks(tiny.graph, price=0.1), tmp_path / "joint.pt"
    train_jointly(tiny, sampler, optimal, batch, checkpoint=path)
    with pytest.raises(UserError, match="other settings"):
        optimal.train(tiny, random_masks(tiny.graph, 1).float(), [batch], checkpoint=path)

"""The loop that trains: it goes on bit for bit where it was, and never in another training."""

from dataclasses import replace

import pytest
import torch
from support.prompts import random_batch
from support.values import random_masks

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint
from benchmark.training.loop import MaskedTraining


def test_interrupted_training_continues_bit_for_bit(tiny, tmp_path, monkeypatch):
    batch = random_batch(d_vocab=20, n_prompts=16)
    masks = random_masks(tiny.graph, 2, binary=True).float()
    optimal = configured("ablation", "optimal_positional", steps=24, batch_size=5)
    whole = optimal.train(tiny, masks, [batch])
    monkeypatch.setattr("benchmark.training.loop.CHECKPOINT_EVERY", 4)
    advance, path = MaskedTraining.advance, tmp_path / "state.pt"

    def killed(self):
        if self.step == 14:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(MaskedTraining, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        optimal.train(tiny, masks, [batch], checkpoint=path)
    assert len(load_checkpoint(path, "cpu")["losses"]) == 12
    monkeypatch.setattr(MaskedTraining, "advance", advance)
    resumed = optimal.train(tiny, masks, [batch], checkpoint=path)
    assert all(map(torch.equal, whole.values.tensors, resumed.values.tensors))
    assert torch.equal(whole.losses, resumed.losses)
    again = optimal.train(tiny, masks, [batch], checkpoint=path)
    assert torch.equal(again.values.heads, whole.values.heads)
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.pt"]


def test_checkpoints_of_other_runs_are_refused(tiny, tmp_path):
    batch, other = (random_batch(d_vocab=20, n_prompts=4, seed=s) for s in (0, 1))
    masks = random_masks(tiny.graph, 1).float()
    optimal = configured("ablation", "optimal", steps=2, batch_size=4)
    path = tmp_path / "state.pt"
    optimal.train(tiny, masks, [batch], checkpoint=path)
    config = random_config("gpt2", n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=20)
    another = load_model(save_random_model(tmp_path / "another", config, seed=9))
    same_names = replace(batch, clean=other.clean)
    for model, rows, prompts, settings in (
        (tiny, masks, batch, replace(optimal, learning_rate=0.5)),
        (tiny, masks, batch, replace(optimal, keep_first=False)),
        (tiny, masks, other, optimal),
        (tiny, masks, same_names, optimal),
        (tiny, masks.expand(2, -1, -1), batch, optimal),
        (tiny, masks * 0, batch, optimal),
        (another, masks, batch, optimal),
    ):
        with pytest.raises(UserError, match=r"other|another"):
            settings.train(model, rows, [prompts], checkpoint=path)
    with pytest.raises(UserError, match="holds 2 steps, more than steps=1"):
        replace(optimal, steps=1).train(tiny, masks, [batch], checkpoint=path)
    save_checkpoint(path, {"step": 1})
    with pytest.raises(UserError, match="not a checkpoint"):
        optimal.train(tiny, masks, [batch], checkpoint=path)

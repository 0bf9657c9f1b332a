"""Checkpoints: everything comes back, damage begins anew, costs add up over starts."""

import random

import pytest
import torch
from support.prompts import random_batch
from support.values import random_masks

from benchmark.config import configured
from benchmark.meter import metering
from benchmark.training import loop
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint


def test_tensors_and_plain_values_come_back(tmp_path):
    path = tmp_path / "state"
    assert load_checkpoint(path, "cpu") is None
    weight = torch.nn.Parameter(torch.ones(2, 3))
    optimiser = torch.optim.AdamW([weight], lr=0.1)
    weight.sum().backward()
    optimiser.step()
    plain = {"step": 3, "infinite": float("inf"), "nothing": None, "nested": [(1, "a"), {}]}
    save_checkpoint(path, {**plain, "optimiser": optimiser.state_dict(), "view": weight.T})
    found = load_checkpoint(path, "cpu")
    assert {name: found[name] for name in plain} == plain
    assert torch.equal(found["view"], weight.T)
    again = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2, 3))], lr=0.5)
    again.load_state_dict(found["optimiser"])
    assert str(again.state_dict()) == str(optimiser.state_dict())


def trained(tiny, path, steps=6):
    optimal = configured("ablation", "optimal", steps=steps, batch_size=4)
    batch, masks = random_batch(d_vocab=20, n_prompts=6), random_masks(tiny.graph, 2).float()
    with metering() as spent:
        constants = optimal.train(tiny, masks, [batch], checkpoint=path)
    return constants.losses, spent


def test_a_damaged_checkpoint_is_put_aside_and_training_begins_anew(planted, tmp_path, caplog):
    path, draw = tmp_path / "constants", random.Random(0)
    whole, _ = trained(planted, path)
    content = path.read_bytes()
    damaged = [content[: len(content) // 2], b"", b"\xff" * 50]
    for _ in range(12):
        flipped = bytearray(content)
        bit = draw.randrange(8 * len(content))
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for wrong in damaged:
        path.write_bytes(wrong)
        caplog.clear()
        losses, _ = trained(planted, path)
        assert torch.equal(losses, whole)
        assert "computed anew" in caplog.text
        assert (tmp_path / "constants.damaged").read_bytes() == wrong


def test_a_killed_training_costs_no_less_than_another(planted, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 2)
    _, whole = trained(planted, None)
    advance, path = loop.MaskedTraining.advance, tmp_path / "constants"

    def killed(self):
        if self.step in deaths:
            deaths.remove(self.step)
            raise KeyboardInterrupt
        advance(self)

    deaths = [3, 5]
    monkeypatch.setattr(loop.MaskedTraining, "advance", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            trained(planted, path)
    _, resumed = trained(planted, path)
    _, read_back = trained(planted, path)
    assert resumed.backward == whole.backward > 0
    assert whole.forward <= resumed.forward < 2 * whole.forward
    assert read_back.backward == whole.backward and read_back.seconds > 0

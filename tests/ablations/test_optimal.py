"""Optimal ablation: the theorem, brute force, gating, joint training, resuming."""

from dataclasses import replace

import pytest
import torch
from support.prompts import random_batch
from support.values import largest, random_masks

from benchmark.ablations.fixed import Mean, Zero
from benchmark.ablations.other_prompts import Resample
from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.forward.values import SourceValues
from benchmark.graph.mask import EdgeMask
from benchmark.metric import KLDivergence
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model
from benchmark.training.checkpoint import load_checkpoint, save_checkpoint
from benchmark.training.loop import MaskedTraining
from benchmark.training.masks import FixedMasks, MaskSampler
from methods.circuits.masks.training import train_masks


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    config = random_config("gpt2", n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=20)
    return load_model(save_random_model(tmp_path_factory.mktemp("tiny"), config))


def loss_gaps(model, masks, batch, values):
    """Mean KL of each mask row."""
    with torch.no_grad():
        clean = clean_logits(model, batch.clean, batch.read_at)
        logits = masked_logits(model, masks, batch, values)
        return KLDivergence()(logits, batch, clean).mean(-1)


def train_jointly(model, sampler, optimal, batch, **options):
    """Masks and constants by the settings of the ablation."""
    settings = dict(steps=optimal.steps, batch_size=optimal.batch_size, seed=optimal.seed)
    rate = dict(constants_learning_rate=optimal.learning_rate)
    return train_masks(model, sampler, optimal, [batch], **settings, **rate, **options)


def one_at_a_time(graph):
    """Node masks that ablate one source each."""
    return (1 - torch.eye(graph.n_sources))[..., None]


@pytest.mark.slow
@pytest.mark.parametrize("positional", [False, True])
def test_no_total_ablation_of_a_component_loses_less(tiny, positional):
    """The proposition of Li & Janson (2024), on the training prompts, for every component."""
    batch = random_batch(d_vocab=20, n_prompts=48, n_positions=6)
    masks = one_at_a_time(tiny.graph)
    name = "optimal_positional" if positional else "optimal"
    optimal = configured("ablation", name, steps=400, batch_size=48, learning_rate=0.02)
    constants = optimal.train(tiny, masks, [batch], one_set=True)
    gaps = loss_gaps(tiny, masks, batch, constants(batch))
    others = {
        "zero": Zero(keep_first=True),
        "mean": Mean(True, positional, counterfactual=False),
        "counterfactual mean": Mean(True, positional, counterfactual=True),
    }
    for other, ablation in others.items():
        bound = loss_gaps(tiny, masks, batch, ablation.fit(tiny, [batch])(batch))
        assert bool((gaps <= bound * 1.02 + 1e-5).all()), other
    # Resampling is random: its expectation is bounded, so average over draws.
    resample = Resample(True, positional, seed=0).fit(tiny, [batch])
    draws = [loss_gaps(tiny, masks, batch, resample(batch, draw)) for draw in range(8)]
    assert bool((gaps <= torch.stack(draws).mean(0) * 1.02 + 1e-5).all())
    start = optimal.fit(tiny, [batch])
    assert bool((gaps < loss_gaps(tiny, masks, batch, start(batch))).all())
    if positional:
        pooled = configured("ablation", "optimal", steps=400, batch_size=48, learning_rate=0.02)
        agnostic = pooled.train(tiny, masks, [batch], one_set=True)
        assert bool((gaps <= loss_gaps(tiny, masks, batch, agnostic(batch)) * 1.05 + 1e-5).all())


@pytest.mark.slow
@pytest.mark.parametrize("d_head", [1, 2])
def test_brute_force_finds_the_same_constant(tmp_path, d_head):
    """One head of one or two dimensions: search its constant on a grid, then around the best."""
    config = random_config("gpt2", n_layers=1, n_heads=2, d_model=2 * d_head, d_mlp=8, d_vocab=12)
    model = load_model(save_random_model(tmp_path, config, scale=1.5), dtype="float64")
    batch = random_batch(d_vocab=12, n_prompts=16, n_positions=5)
    keep = torch.ones(1, model.graph.n_sources, 1, dtype=torch.float64)
    keep[0, model.graph.source_index["a0.h1"]] = 0
    optimal = configured("ablation", "optimal", steps=800, batch_size=16, learning_rate=0.02)
    found = optimal.train(model, keep, [batch]).rows

    def gaps(candidates):
        """Loss gap of each candidate constant [n, d_head], side by side as mask rows."""
        heads = torch.zeros(1, 2, len(candidates), 1, 1, d_head, dtype=torch.float64)
        heads[0, 1, :, 0, 0] = candidates
        zeros = torch.zeros(len(candidates), 1, 1, 2 * d_head, dtype=torch.float64)
        values = SourceValues(zeros, heads, zeros[None], keep_first=True)
        return loss_gaps(model, keep.expand(len(candidates), -1, -1), batch, values)

    centre, width = torch.zeros(d_head, dtype=torch.float64), 4.0
    for _ in range(8):
        axis = torch.linspace(-width, width, 21, dtype=torch.float64)
        grid = centre + torch.cartesian_prod(*[axis] * d_head).view(-1, d_head)
        best = gaps(grid).argmin()
        centre, width = grid[best], width / 4
    learned = found.heads[0, 1, 0, 0, 0]
    assert float(gaps(learned[None])) == pytest.approx(float(gaps(centre[None])), rel=1e-3)
    assert largest(learned, centre) < 0.05


def test_sets_per_mask_row_equal_separate_runs(tiny):
    batch = random_batch(d_vocab=20, n_prompts=8)
    masks = random_masks(tiny.graph, 2, binary=True).float()
    optimal = configured("ablation", "optimal", steps=20, batch_size=4)
    together = optimal.train(tiny, masks, [batch])
    assert together.losses.shape == (20, 2)
    for row in range(2):
        alone = optimal.train(tiny, EdgeMask(tiny.graph, masks[row]), [batch])
        assert largest(together.of_mask(row).rows.heads, alone.rows.heads) < 1e-4
        assert largest(together.losses[:, row], alone.losses[:, 0]) < 1e-4


def test_training_lowers_the_loss_of_a_circuit(tiny):
    batch = random_batch(d_vocab=20, n_prompts=32)
    masks = random_masks(tiny.graph, 1, binary=True).float()
    optimal = configured("ablation", "optimal", steps=150, batch_size=32)
    constants = optimal.train(tiny, masks, [batch.split(10)[0], *batch.split(10)[1:]])
    start = loss_gaps(tiny, masks, batch, optimal.fit(tiny, [batch])(batch))
    assert float(constants.losses[0]) == pytest.approx(float(start), rel=1e-4)
    assert float(loss_gaps(tiny, masks, batch, constants(batch))) < 0.8 * float(start)


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
    assert all(map(torch.equal, whole.rows.tensors, resumed.rows.tensors))
    assert torch.equal(whole.losses, resumed.losses)
    again = optimal.train(tiny, masks, [batch], checkpoint=path)
    assert torch.equal(again.rows.heads, whole.rows.heads)
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


@pytest.mark.parametrize("change", [dict(steps=-1), dict(batch_size=0), dict(learning_rate=0.0)])
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(UserError, match="needs steps >= 0"):
        configured("ablation", "optimal", **change)


def test_a_mask_that_is_being_learned_elsewhere_is_left_alone(tiny):
    batch = random_batch(d_vocab=20, n_prompts=4)
    leaf = torch.zeros(tiny.graph.exists.shape, requires_grad=True)
    optimal = configured("ablation", "optimal", steps=3, batch_size=4)
    optimal.train(tiny, leaf.sigmoid() * tiny.graph.exists, [batch])
    assert leaf.grad is None


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
    moved = largest(constants.rows.heads, optimal.fit(tiny, [batch]).rows.heads)
    assert moved > 1e-3
    monkeypatch.setattr("benchmark.training.loop.CHECKPOINT_EVERY", 10)
    first, path = learner(), tmp_path / "joint.pt"
    train_jointly(tiny, first, replace(optimal, steps=20), batch, checkpoint=path)
    second = learner()
    resumed = train_jointly(tiny, second, optimal, batch, checkpoint=path)
    assert torch.equal(second.logits, sampler.logits)
    assert torch.equal(resumed.rows.heads, constants.rows.heads)


def test_partly_kept_sources_move_their_constants_only_if_masks_stand_still(tiny):
    """While masks are trained too, a constant learns only from fully ablated edges."""
    batch = random_batch(d_vocab=20, n_prompts=4)
    half = 0.5 * tiny.graph.exists[None].float()
    optimal = configured("ablation", "optimal", steps=3, batch_size=4)
    start = optimal.fit(tiny, [batch]).rows.tensors
    jointly = train_jointly(tiny, FixedMasks(half), optimal, batch).rows.tensors
    assert all(map(torch.equal, jointly, start))
    alone = optimal.train(tiny, half, [batch]).rows.tensors
    assert not any(map(torch.equal, alone, start))


def test_constants_of_one_mask_row(tiny):
    batch = random_batch(d_vocab=20, n_prompts=4)
    masks = random_masks(tiny.graph, 2).float()
    optimal = configured("ablation", "optimal", steps=1, batch_size=4)
    shared = optimal.train(tiny, masks, [batch], one_set=True).of_mask(1)
    assert (shared.rows.axes, shared.losses.shape) == ((1, 1, 1), (1, 1))
    with pytest.raises(UserError, match="there are 2 rows"):
        optimal.train(tiny, masks, [batch]).of_mask(2)


def test_a_checkpoint_of_joint_training_is_not_one_of_fixed_masks(tiny, tmp_path):
    batch = random_batch(d_vocab=20, n_prompts=4)
    optimal = configured("ablation", "optimal", steps=1, batch_size=4)
    sampler, path = SigmoidMasks(tiny.graph, price=0.1), tmp_path / "joint.pt"
    train_jointly(tiny, sampler, optimal, batch, checkpoint=path)
    with pytest.raises(UserError, match="other settings"):
        optimal.train(tiny, random_masks(tiny.graph, 1).float(), [batch], checkpoint=path)

"""Optimal constants: the theorem, brute force, and what is trained for each mask."""

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


def loss_gaps(model, masks, batch, values):
    """Mean KL of each mask."""
    with torch.no_grad():
        clean = clean_logits(model, batch.clean, batch.read_at)
        logits = masked_logits(model, masks, batch, values)
        return KLDivergence()(logits, batch, clean).mean(-1)


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
    found = optimal.train(model, keep, [batch]).values

    def gaps(candidates):
        """Loss gap of each candidate constant [n, d_head], side by side as masks."""
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


@pytest.mark.slow
def test_sets_per_mask_row_equal_separate_runs(tiny):
    batch = random_batch(d_vocab=20, n_prompts=8)
    masks = random_masks(tiny.graph, 2, binary=True).float()
    optimal = configured("ablation", "optimal", steps=20, batch_size=4)
    together = optimal.train(tiny, masks, [batch])
    assert together.losses.shape == (20, 2)
    for row in range(2):
        alone = optimal.train(tiny, EdgeMask(tiny.graph, masks[row]), [batch])
        assert largest(together.of_mask(row).values.heads, alone.values.heads) < 1e-4
        assert largest(together.losses[:, row], alone.losses[:, 0]) < 1e-4


@pytest.mark.slow
def test_training_lowers_the_loss_of_a_circuit(tiny):
    batch = random_batch(d_vocab=20, n_prompts=32)
    masks = random_masks(tiny.graph, 1, binary=True).float()
    optimal = configured("ablation", "optimal", steps=150, batch_size=32)
    constants = optimal.train(tiny, masks, [batch.split(10)[0], *batch.split(10)[1:]])
    start = loss_gaps(tiny, masks, batch, optimal.fit(tiny, [batch])(batch))
    assert float(constants.losses[0]) == pytest.approx(float(start), rel=1e-4)
    assert float(loss_gaps(tiny, masks, batch, constants(batch))) < 0.8 * float(start)


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


def test_constants_of_one_mask(tiny):
    batch = random_batch(d_vocab=20, n_prompts=4)
    masks = random_masks(tiny.graph, 2).float()
    optimal = configured("ablation", "optimal", steps=1, batch_size=4)
    shared = optimal.train(tiny, masks, [batch], one_set=True).of_mask(1)
    assert (shared.values.axes, shared.losses.shape) == ((1, 1, 1), (1, 1))
    with pytest.raises(UserError, match="there are 2 masks"):
        optimal.train(tiny, masks, [batch]).of_mask(2)

"""The statistics of subsampling, against designs whose means are exact and against simulation."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from benchmark.seeds import generator
from methods.importance.nodes.sums import SubsamplingSums

CONFIDENCES = (0.9, 0.99, 0.999)


def sums_of(masks, effects):
    sums = SubsamplingSums(masks.shape[1])
    sums.add(masks, effects)
    return sums


def additive(effects, draws, probability, seed):
    """Draws on a toy whose effects add up."""
    masks = torch.rand(draws, len(effects), generator=generator(seed, "masks")) < probability
    return masks, masks.double() @ effects


def every_subset(n_nodes, one_in):
    """Every subset, as often as nodes patched with probability 1 / one_in would have it."""
    draws = np.array(list(product(range(one_in), repeat=n_nodes)))
    return torch.from_numpy(draws == 0)


def test_all_statistics_are_those_of_the_two_groups():
    masks, effects = additive(torch.randn(6).double(), 40, 0.3, seed=1)
    effects = effects + torch.randn(40, generator=generator(1, "noise")).double()
    sums = SubsamplingSums(6)
    for part in torch.arange(40).split(7):
        sums.add(masks[part].float(), effects[part])
    for node in range(6):
        with_it, without = effects[masks[:, node]], effects[~masks[:, node]]
        assert sums.patched.count[node] == len(with_it)
        assert sums.unpatched.mean[node] == pytest.approx(without.mean().item())
        assert sums.patched.deviation[node] == pytest.approx(with_it.std().item())
        welch = stats.ttest_ind(with_it, without, equal_var=False)
        statistic = (sums.difference / sums.standard_error)[node]
        assert statistic == pytest.approx(welch.statistic)
        assert sums.degrees_of_freedom[node] == pytest.approx(welch.df)


@pytest.mark.parametrize("one_in", [2, 4])
def test_effects_that_add_up_are_found_exactly_over_all_subsets(one_in):
    effects = torch.tensor([2.0, -1.0, 0.5, 0.0], dtype=torch.float64)
    masks = every_subset(4, one_in)
    found = sums_of(masks, masks.double() @ effects).difference
    assert found.tolist() == pytest.approx(effects.tolist())


@pytest.mark.parametrize("one_in", [2, 4])
def test_interactions_add_the_probability_times_their_sum(one_in):
    effects = torch.tensor([2.0, -1.0, 0.5, 0.0], dtype=torch.float64)
    weights = torch.triu(torch.randn(4, 4, generator=generator(0, "weights")).double(), 1)
    masks = every_subset(4, one_in)
    on = masks.double()
    measured = on @ effects + ((on @ weights) * on).sum(1)
    bias = sums_of(masks, measured).difference - effects
    expected = (weights + weights.T).sum(1) / one_in
    assert bias.tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("probability", [0.02, 0.1])
def test_the_standard_error_depends_on_draws_and_not_on_the_probability(probability):
    effects = torch.full((400,), 0.3, dtype=torch.float64)
    draws = 4000
    sums = sums_of(*additive(effects, draws, probability, seed=2))
    # Draws of one kind have a variance of p (1 - p) sum c^2, over p (1 - p) draws in effect.
    expected = (effects.square().sum() / draws).sqrt().item()
    assert sums.standard_error.mean().item() == pytest.approx(expected, rel=0.05)
    actual = (sums.difference - effects).std().item()
    assert actual == pytest.approx(expected, rel=0.1)


@pytest.mark.slow
def test_bounds_hold_as_often_as_they_say_and_tighten_with_draws():
    effects = torch.linspace(-0.4, 0.5, 20, dtype=torch.float64)
    found = torch.tensor(
        [sums_of(*additive(effects, 400, 0.2, seed)).bounds(CONFIDENCES) for seed in range(300)]
    )
    coverage = (found >= 0.5).double().mean(0)
    assert (coverage >= torch.tensor([0.9, 0.99, 0.999]).double()).all()
    assert (found[:, 0] < found[:, 1]).all() and (found[:, 1] < found[:, 2]).all()
    many = sums_of(*additive(effects, 40_000, 0.2, 0)).bounds(CONFIDENCES)
    excess = (found.mean(0).double() - 0.5) / (torch.tensor(many).double() - 0.5)
    # A hundred times the draws, a tenth of the error.
    assert ((excess > 5) & (excess < 20)).all()


def test_a_bound_is_where_the_last_node_is_rejected():
    masks, effects = additive(torch.linspace(0, 1, 8).double(), 60, 0.3, seed=3)
    sums = sums_of(masks, effects)
    (bound,) = sums.bounds([0.95])
    statistics = (bound - sums.difference.abs()) / sums.standard_error
    assert stats.t.sf(statistics, sums.degrees_of_freedom).max() == pytest.approx(0.05)


def test_nodes_without_a_group_are_unknown_and_leave_the_bound_open():
    masks = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0]]).bool()
    effects = torch.tensor([0.1, 0.7, -0.4, 0.3])
    sums = SubsamplingSums(4)
    for draw in range(4):
        sums.add(masks[[draw]], effects[[draw]])
    assert sums.difference.isnan().tolist() == [False, True, True, False]
    assert sums.bounds(CONFIDENCES) == [np.inf] * 3
    assert np.isfinite(sums_of(masks[:, [0, 3]], effects).bounds(CONFIDENCES)).all()
    once = sums_of(masks[:2, [0]], effects[:2])
    assert once.difference.item() == pytest.approx(-0.6) and once.standard_error.isnan().all()
    assert once.bounds([0.9]) == [np.inf]


def test_effects_without_any_spread_are_their_own_bound():
    masks = torch.tensor([[1], [1], [0], [0]]).bool()
    assert sums_of(masks, torch.tensor([3.0, 3.0, 1.0, 1.0])).bounds([0.99]) == [2.0]

"""Random sets of nodes, with effects that add up: what they find, and what bounds they give."""

import math

import pytest
import torch
from support.problems import pairs_problem

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.meter import metering
from benchmark.seeds import generator
from methods.importance.nodes import problem as node_problem
from methods.importance.nodes.problem import NodeProblem
from methods.importance.subsampling import SETS_AT_ONCE

# Queries, keys, values and outputs of four heads in two layers, over all positions.
N_NODES = 32


def sampled(problem, seed=0, **changes):
    method = configured("method", "subsampling", positions="all", **changes)
    asked = NodeProblem.of(problem, method)
    return asked, method.estimate(asked, seed)


def bounded(problem, **changes):
    few = dict(positions="all", verified=4, probability=0.2, draws=512, repeats=3)
    method = configured("method", "missed_effects", **few | changes)
    return method.study(problem, [])


@pytest.fixture
def additive(monkeypatch):
    """Effects of sets that are sums of those of nodes, and the sets that were asked for."""
    sizes = torch.exp(torch.linspace(0, -4, N_NODES, dtype=torch.float64))
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(N_NODES // 2)
    asked_for = []

    def of_pair(name):
        own = 1 + 0.2 * torch.randn(N_NODES, generator=generator(0, name), dtype=torch.float64)
        return signs * sizes * own

    def of_sets(asked, clean, chosen):
        asked_for.append((clean.batch.ids, chosen[:, 0]))
        effects = torch.stack([of_pair(name) for name in clean.batch.ids])
        return chosen.expand(-1, len(effects), -1).double().mul(effects).sum(-1)

    def truth(model, batches, *_):
        return torch.stack([of_pair(name) for batch in batches for name in batch.ids])

    monkeypatch.setattr(NodeProblem, "of_sets", of_sets)
    monkeypatch.setattr(node_problem, "exhaustive_effects", truth)
    return asked_for


@pytest.mark.parametrize("probability", [0.1, 0.4])
def test_it_converges_to_the_mean_effect(gpt2, additive, probability):
    errors = {}
    for draws in (600, 9600):
        asked, found = sampled(pairs_problem(gpt2), draws=draws, probability=probability)
        wanted = asked.truth.mean(0).abs()
        off = (found.contribution - wanted).abs()
        assert (off < 4 * found.standard_error).all()
        assert (off < found.standard_error).double().mean() > 0.4
        errors[draws] = off.square().mean().sqrt()
    # Sixteen times the draws, a quarter of the error.
    assert 2.5 < errors[600] / errors[9600] < 6.5
    each = (found.effects - asked.truth).square().mean().sqrt()
    assert 1.3 < each / errors[9600] < 2.2
    best = found.spent.argsort()[:3]
    assert best.tolist() == wanted.argsort(descending=True)[:3].tolist()


@pytest.mark.parametrize("draws", [1, 2, 10, 3 * SETS_AT_ONCE + 2])
def test_draws_are_spread_evenly(gpt2, additive, draws):
    problem = pairs_problem(gpt2)
    per_pair = dict.fromkeys(problem.batches[0].ids, 0)
    _, found = sampled(problem, draws=draws)
    for (name,), chosen in additive:
        per_pair[name] += len(chosen)
        assert len(chosen) <= SETS_AT_ONCE
    assert sum(per_pair.values()) == draws
    assert max(per_pair.values()) - min(per_pair.values()) <= 1
    assert found.spent.min() == 2 * 3 + draws + 3


def test_the_pairs_with_one_draw_more_are_random(gpt2, additive):
    for seed in range(9):
        sampled(pairs_problem(gpt2), seed, draws=1)
    assert len({name for (name,), _ in additive}) == 3


def test_all_draws_are_different_and_have_the_probability(gpt2, additive):
    sampled(pairs_problem(gpt2), draws=6 * SETS_AT_ONCE, probability=0.3)
    sets = torch.cat([chosen for _, chosen in additive])
    assert len(sets.unique(dim=0)) == len(sets)
    assert float(sets.double().mean()) == pytest.approx(0.3, abs=0.02)


def test_nodes_that_were_never_drawn_are_unknown_and_come_last(gpt2, additive):
    asked, found = sampled(pairs_problem(gpt2), draws=9, probability=0.05)
    unknown = found.contribution.isnan()
    assert 0 < unknown.sum() < N_NODES
    assert found.effects.isnan().any(0)[unknown].all()
    assert found.spent[unknown].min() > found.spent[~unknown].max()
    method = configured("method", "subsampling", positions="all", draws=9, probability=0.05)
    study = method.study(pairs_problem(gpt2), [])
    assert study.tensors["estimate"].isnan().any() and study.tensors["effects"].isnan().any()
    assert study.table.notna().all(axis=None)
    assert all(map(math.isfinite, study.summary.values()))
    assert not asked.truth.isnan().any()


@pytest.mark.parametrize("draws", [7, 40])
def test_every_draw_is_a_pass(gpt2, draws):
    method = configured("method", "subsampling", draws=draws, probability=0.5, judge=False)
    assert method.study(pairs_problem(gpt2), []).cost.forward == 2 * 3 + draws


def test_sets_without_a_node_have_no_effect(gpt2):
    """With so small a probability hardly any draw patches anything; they are still paid for."""
    for probability in (1e-9, 0.004):
        asked, found = sampled(pairs_problem(gpt2), draws=30, probability=probability)
        assert found.contribution.isnan().any()
        assert found.spent.sort().values[0] == 2 * 3 + 30 + asked.n_pairs
    bounds = bounded(pairs_problem(gpt2), probability=1e-9, judge=False)
    assert all(map(math.isinf, bounds.summary.values()))
    assert "give more method.draws" in bounds.warnings[0]


def test_the_estimate_does_not_depend_on_batches(gpt2):
    problem = pairs_problem(gpt2)
    _, one = sampled(problem, draws=60, probability=0.2, batch_size=1)
    _, all_at_once = sampled(problem, draws=60, probability=0.2)
    assert torch.allclose(one.contribution, all_at_once.contribution, atol=1e-12, rtol=0)


def test_verified_nodes_are_never_patched_in_draws(gpt2, additive):
    found = bounded(pairs_problem(gpt2))
    verified = found.tensors["verified"].bool()
    assert verified.sum() == 4
    sets = torch.cat([chosen for _, chosen in additive])
    assert not sets[:, verified].any() and sets[:, ~verified].any(0).all()
    assert len(sets) == 3 * 512
    contribution = found.tensors["contribution"]
    assert found.summary["largest_missed"] == float(contribution[~verified].max())


@pytest.mark.slow
def test_the_best_by_the_gradient_are_verified(gpt2):
    problem = pairs_problem(gpt2)
    found = bounded(problem, positions="each", verified=7, judge=False)
    star = configured("method", "atp_star", judge=False).study(problem, [])
    best = star.tensors["estimate"].argsort(descending=True)[:7]
    assert found.tensors["verified"].nonzero().flatten().tolist() == sorted(best.tolist())


def test_bounds_tighten_with_draws_and_grow_with_confidence(gpt2, additive):
    found = bounded(pairs_problem(gpt2), draws=4096)
    table = found.table
    assert table["draws"].tolist() == 3 * [64 * 2**n for n in range(7)]
    assert table["repeat"].tolist() == [0] * 7 + [1] * 7 + [2] * 7
    assert (table["bound_99"] >= table["bound_90"]).all()
    assert (table["bound_999"] >= table["bound_99"]).all()
    means = table.groupby("draws")[["bound_90", "bound_99", "bound_999"]].mean()
    excess = means - found.summary["largest_missed"]
    # Sixteen times the draws, about a quarter of what is added.
    ratio = excess.loc[256] / excess.loc[4096]
    assert ratio.between(2.5, 7).all()
    last = table[table["draws"] == 4096]
    for name in means:
        assert found.summary[name] == pytest.approx(last[name].mean())


@pytest.mark.slow
def test_bounds_hold_as_often_as_they_say(gpt2, additive):
    found = bounded(pairs_problem(gpt2), draws=256, repeats=30)
    last = found.table[found.table["draws"] == 256]
    holds = [(last[name] >= last["largest_missed"]).mean() for name in ("bound_90", "bound_99")]
    assert len(last) == 30 and holds[0] > 0.8 and holds[1] > 0.95
    assert found.summary["bound_99"] < 3 * found.summary["largest_missed"]


def test_few_draws_have_one_bound(gpt2, additive):
    for draws, wanted in ((1, [1]), (127, [127]), (129, [64, 129]), (300, [75, 150, 300])):
        table = bounded(pairs_problem(gpt2), draws=draws, repeats=1).table
        assert table["draws"].tolist() == wanted
    additive.clear()
    bounded(pairs_problem(gpt2), draws=256, repeats=2, probability=0.5)
    sets = torch.cat([chosen for _, chosen in additive])
    assert len(sets.unique(dim=0)) == len(sets) == 2 * 256


@pytest.mark.slow
def test_what_it_costs_is_one_repetition(gpt2):
    one, three = (bounded(pairs_problem(gpt2), repeats=n, draws=128) for n in (1, 3))
    assert one.cost.forward == three.cost.forward
    # Two for AtP*, and the unpatched runs of both stretches of draws.
    assert one.cost.forward == 2 * 3 + 2 * 2 * 3 + 128
    assert one.table.equals(three.table[three.table["repeat"] == 0])


@pytest.mark.parametrize("verified", [N_NODES, N_NODES + 1])
def test_verifying_all_nodes_is_refused_before_any_pass(gpt2, verified):
    message = rf"^method.verified={verified} leaves none of 32 nodes to bound; give a smaller"
    with metering() as spent, pytest.raises(UserError, match=message):
        bounded(pairs_problem(gpt2), verified=verified)
    assert spent.forward == 0
    assert bounded(pairs_problem(gpt2), verified=N_NODES - 1, repeats=1).summary["bound_90"] > 0


def test_bounds_are_of_mean_effects(gpt2, additive):
    """Whatever contributions are, opposite effects cancel in what a bound speaks of."""
    problem = pairs_problem(gpt2)
    for inside in (True, False):
        found = bounded(problem, abs_inside=inside, repeats=1)
        asked = NodeProblem.of(problem, configured("method", "missed_effects", positions="all"))
        assert torch.equal(found.tensors["contribution"], asked.truth.mean(0).abs())

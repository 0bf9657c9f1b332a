"""Uniform gradient sampling: its draws, its estimator, its rules, and what it finds."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from support.prompts import random_batch
from support.values import largest

from benchmark.ablations.other_prompts import Counterfactual
from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.method.circuits import CircuitMethod
from benchmark.method.problem import Problem
from benchmark.metric import KLDivergence, LogitDifference, OverWrong
from methods.circuits.masks.priced import _edge_groups
from methods.circuits.masks.prices import circuits_above, learning_rates, node_prices, steps_of
from methods.circuits.masks.uniform import UniformMasks
from methods.circuits.ugs import SLOWER

GRAPH = ComputationalGraph(2, 2)


def masks(graph=GRAPH, prices=(0.0,), rows=4000, logit=0.3, window=1.0, clip=1e9, rate=0.1):
    return UniformMasks(
        graph,
        torch.tensor(prices),
        learning_rates=[rate] * len(prices),
        node_prices=[0.0] * len(prices),
        masks_per_step=rows,
        initial_logit=logit,
        window=window,
        clip=clip,
        seed=0,
    )


def problem(model, ablation, n_prompts=12, work_folder=None):
    return Problem(
        model=model,
        batches=[random_batch(d_vocab=20, n_prompts=n_prompts)],
        metric=LogitDifference(OverWrong.mean),
        ablation=ablation,
        references={},
        seed=3,
        training_steps=None,
        work_folder=work_folder,
    )


def test_draws_are_whole_partial_and_none_as_often_as_published():
    """With c = 1: P(1) = p (1 + p) / 2, P(0) = (1 - p) (2 - p) / 2, uniform between, mean p."""
    sampler = masks(rows=20_000)
    sampler.sample(0)
    drawn = sampler._drawn.detach()[:, GRAPH.exists]
    p = torch.tensor(0.3).sigmoid()
    assert float((drawn == 1).float().mean()) == pytest.approx(float(p * (1 + p) / 2), abs=0.003)
    none = float((drawn == 0).float().mean())
    assert none == pytest.approx(float((1 - p) * (2 - p) / 2), abs=0.003)
    assert float(drawn.mean()) == pytest.approx(float(p), abs=0.003)
    between = drawn[(drawn > 0) & (drawn < 1)]
    quarters = between[:1_000_000].quantile(torch.tensor([0.25, 0.5, 0.75]))
    assert largest(quarters, torch.tensor([0.25, 0.5, 0.75])) < 0.01
    assert bool((sampler._drawn.detach()[:, ~GRAPH.exists] == 0).all())


def test_dangling_edges_of_a_row_are_found_from_that_row_alone():
    sampler = masks(rows=30, logit=-1.5)
    sampled = sampler.sample(0).detach()
    for row, drawn in zip(sampled, sampler._drawn.detach(), strict=True):
        kept = EdgeMask(GRAPH, (drawn > 0).float())
        assert torch.equal(row, drawn * kept.pruned(Pruning.dangling).keep)
    assert bool((sampled != sampler._drawn.detach()).any())


def test_the_estimator_is_the_effect_of_an_edge():
    """For a loss with products of edges, against the exact mean of l(1) - l(0)."""
    graph = ComputationalGraph(1, 1)
    p = float(torch.tensor(0.3).sigmoid())
    edges = graph.exists.nonzero().tolist()
    one, two, three = edges[0], edges[1], edges[-1]
    sampler = masks(graph, rows=200_000)
    sampler.sample(0)
    drawn = sampler._drawn
    a, b, c = (drawn[:, u, v] for u, v in (one, two, three))
    (2 * a + 3 * a * b - b * c + c**2).sum().backward()
    effect = sampler._effects()[0]
    # E[l(a = 1) - l(a = 0)] over the other edges, each with mean p.
    wanted = {tuple(one): 2 + 3 * p, tuple(two): 3 * p - p, tuple(three): 1 - p}
    for (u, v), value in wanted.items():
        assert float(effect[u, v]) == pytest.approx(value, abs=0.03)


def test_prices_have_the_published_gradient():
    sampler = masks(prices=(0.5, 2.0), rows=1)
    sampler.price().backward()
    p = torch.tensor(0.3).sigmoid()
    for logits, price in zip(sampler._parameters, (0.5, 2.0), strict=True):
        assert largest(logits.grad, price * p * (1 - p) * GRAPH.exists) < 1e-6


def test_the_price_of_nodes_by_hand():
    sampler = masks(rows=1)
    p = sampler.probabilities.detach()
    n_heads, total = GRAPH.n_layers * GRAPH.n_heads, 0.0
    for name in (s for s in GRAPH.sources if s.startswith("a")):
        into = [v for v, d in enumerate(GRAPH.destinations) if d.startswith(name)]
        degree = p[0][:, into].sum() + p[0][GRAPH.source_index[name]].sum()
        total += n_heads / 2 * torch.tanh(2 * degree / n_heads)
    assert float(sampler._soft_nodes(p)[0]) == pytest.approx(float(total), rel=1e-5)


def test_every_edge_is_of_one_kind_and_clipping_is_by_kind():
    groups = _edge_groups(GRAPH)
    assert torch.equal(groups.sum(0), GRAPH.exists.long())
    names = [EdgeMask(GRAPH, group.float()).edges() for group in groups]
    assert "a0.h0->a1.h1<q>" in names[0] and "a0.h0->logits" in names[1]
    assert "input->a0.h0<q>" in names[2] and "input->logits" in names[3]
    clipped = masks(clip=1.0)._clipped(GRAPH.exists * 5.0)
    assert all(float(clipped[group].norm()) == pytest.approx(1.0) for group in groups)
    small = GRAPH.exists * 1e-3
    assert torch.equal(masks(clip=1.0)._clipped(small), small)


@pytest.mark.slow
def test_a_grid_gives_what_its_prices_give_alone(tiny):
    ugs = configured("method", "ugs", prices=[0.003, 0.03], steps=12, masks_per_step=4)
    assert isinstance(ugs, CircuitMethod)
    ablation = Counterfactual(keep_first=True)
    together = ugs.discover(problem(tiny, ablation), [])
    alone = [
        replace(ugs, prices=[price]).discover(problem(tiny, ablation), [])[0]
        for price in (0.003, 0.03)
    ]
    grouped = replace(ugs, prices_at_once=1).discover(problem(tiny, ablation), [])
    for a, b, c in zip(together, alone, grouped, strict=True):
        assert a.setting == b.setting == c.setting
        assert torch.equal(a.mask.keep, b.mask.keep) and torch.equal(a.mask.keep, c.mask.keep)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["optimal", "counterfactual"])
def test_higher_prices_give_smaller_circuits_that_beat_chance(tiny, name):
    ugs = configured(
        "method", "ugs", prices=[0.001, 0.3], steps=60, masks_per_step=6, learning_rate=0.1
    )
    asked = problem(tiny, configured("ablation", name))
    large, small = ugs.discover(asked, [])
    assert tiny.graph.n_edges >= large.mask.size > small.mask.size
    assert large.requested_size is None and large.setting == "price=0.001"
    random = configured("method", "random", circuits_per_size=8, tolerance=0.2)
    chance = random.discover(asked, [large.mask.size])
    ablation = Counterfactual(keep_first=True)
    batch = asked.batches[0]
    values = ablation.fit(tiny, [batch])(batch)

    def gap(mask):
        with torch.no_grad():
            clean = clean_logits(tiny, batch.clean, batch.read_at)
            logits = masked_logits(tiny, mask, batch, values)
            return float(KLDivergence()(logits, batch, clean).mean())

    if name == "counterfactual":
        gaps = [gap(circuit.mask) for circuit in chance]
        assert gap(large.mask) < min(gaps)


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(tiny, tmp_path, monkeypatch):
    ugs = configured("method", "ugs", prices=[0.01, 0.1], steps=14, masks_per_step=3)
    ablation = configured("ablation", "optimal")
    whole = ugs.discover(problem(tiny, ablation), [])
    monkeypatch.setattr("benchmark.training.loop.CHECKPOINT_EVERY", 4)
    update, calls = UniformMasks.update, []

    def killed(self):
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        update(self)

    monkeypatch.setattr(UniformMasks, "update", killed)
    with pytest.raises(KeyboardInterrupt):
        ugs.discover(problem(tiny, ablation, work_folder=tmp_path), [])
    monkeypatch.setattr(UniformMasks, "update", update)
    resumed = ugs.discover(problem(tiny, ablation, work_folder=tmp_path), [])
    for a, b in zip(whole, resumed, strict=True):
        assert torch.equal(a.mask.keep, b.mask.keep)
    assert len(list(tmp_path.iterdir())) == 1
    other = replace(ugs, prices=[0.01, 0.2])
    with pytest.raises(UserError, match="made for other prices"):
        other.discover(problem(tiny, ablation, work_folder=tmp_path), [])


def test_the_authors_rules_for_rates_thresholds_and_steps():
    optimal, live = configured("ablation", "optimal"), Counterfactual(keep_first=True)
    resample = configured("ablation", "resample")
    rules = partial(learning_rates, None, slower=SLOWER)
    assert rules([1e-4, 5e-4, 1e-3], optimal) == [0.15, 0.10, 0.05]
    assert (rules([1e-3], live), rules([1e-3], resample)) == ([0.01], [0.025])
    assert learning_rates(0.3, [1e-4, 1.0], live, SLOWER) == [0.3, 0.3]
    assert node_prices(None, [1e-4, 1.0]) == [0.5e-4, 2e-4]
    assert node_prices(0.0, [1e-4, 1.0]) == [0.0, 0.0]
    assert (steps_of(optimal), steps_of(live)) == (6000, 3000)


def test_the_authors_threshold_is_stricter_under_optimal_ablation(planted):
    graph = planted.graph
    logits = 0.25 * graph.exists[None].float()
    sizes = [
        circuits_above(graph, logits, given, configured("ablation", name))[0].size
        for given in (None, 0.1, 0.5)
        for name in ("optimal", "counterfactual")
    ]
    assert sizes == [0, graph.n_edges, graph.n_edges, graph.n_edges, 0, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(prices=[]), "prices needs one or more numbers"),
        (dict(prices=[-1.0]), "all 0 or more"),
        (dict(prices=[0.1, 0.1]), "names one number twice"),
        (dict(masks_per_step=0), "method.masks_per_step=0 must be 1 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        configured("method", "ugs", **changes)


def test_a_single_prompt_has_no_donor(tiny):
    asked = problem(tiny, configured("ablation", "resample"))
    assert "donors" in configured("method", "ugs", batch_size=1).unsupported(asked)
    ugs = configured("method", "ugs", batch_size=2, steps=2, masks_per_step=2)
    assert ugs.unsupported(asked) is None
    assert len(ugs.discover(asked, [])) == len(ugs.prices)

"""Hard-concrete gradient sampling: its draws, its rules, and what it finds."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from support.problems import training_problem
from support.values import largest

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, Pruning
from methods.circuits.hcgs import SLOWER
from methods.circuits.masks.concrete import ConcreteMasks
from methods.circuits.masks.hard_concrete import probability_nonzero
from methods.circuits.masks.prices import learning_rates
from methods.circuits.masks.probing import Granularity, ProbingMasks

GRAPH = ComputationalGraph(2, 2)


def masks(prices=(0.0,), rows=4000, logit=0.3, low=-0.12, clip=1e9):
    return ConcreteMasks(
        GRAPH,
        torch.tensor(prices),
        learning_rates=[0.1] * len(prices),
        node_prices=[0.0] * len(prices),
        masks_per_step=rows,
        initial_logit=logit,
        low=low,
        clip=clip,
        seed=0,
    )


def test_draws_are_rows_without_dangling_edges():
    sampled = masks(rows=300, logit=-1.0).sample(0).detach()
    for row in sampled[:40]:
        kept = EdgeMask(GRAPH, (row > 0).float())
        assert torch.equal(kept.pruned(Pruning.dangling).keep, kept.keep)
    assert bool((sampled[:, ~GRAPH.exists] == 0).all())
    assert 0.05 < float((sampled[:, GRAPH.exists] > 0).float().mean()) < 0.95


def test_the_stretch_changes_the_draws_but_not_the_price():
    authors, standard = masks(prices=(0.5,)), masks(prices=(0.5,), low=-0.1)
    assert bool(authors.sample(0).mean() < standard.sample(0).mean())
    assert torch.equal(authors.price(), standard.price())


def test_logits_and_temperatures_both_learn_from_the_price():
    sampler = masks(prices=(0.5, 2.0), rows=1)
    sampler.price().backward()
    logit, temperature = (torch.tensor(x, requires_grad=True) for x in (0.3, 2 / 3 + 1e-3))
    probability_nonzero(logit, temperature).backward()
    for parameter, price in zip(sampler._parameters, (0.5, 2.0), strict=True):
        wanted = torch.stack([price * x.grad * GRAPH.exists for x in (logit, temperature)])
        assert largest(parameter.grad, wanted) < 1e-6


def test_clipping_takes_logits_and_temperatures_together():
    both = torch.ones(2, *GRAPH.exists.shape) * GRAPH.exists * 5
    sampler = masks(clip=1.0)
    clipped = sampler._clipped(both)
    for group in sampler._groups:
        assert float(clipped[:, group].norm()) == pytest.approx(1.0)


def test_the_authors_rules_for_rates(planted):
    hcgs, rules = configured("method", "hcgs"), partial(learning_rates, None, slower=SLOWER)
    live, resample = (configured("ablation", name) for name in ("counterfactual", "resample"))
    assert rules([1e-4], live) == pytest.approx([0.05])
    assert rules([1e-4], resample) == pytest.approx([0.1])
    assert rules([1e-3], configured("ablation", "optimal")) == [0.05]
    assert "donors" in replace(hcgs, batch_size=1).unsupported(
        training_problem(planted, "resample")
    )


@pytest.mark.slow
def test_a_grid_gives_what_its_prices_give_alone(planted):
    hcgs = configured("method", "hcgs", prices=[0.003, 0.03], steps=12, masks_per_step=4)
    together = hcgs.discover(training_problem(planted), [])
    alone = [
        replace(hcgs, prices=[price]).discover(training_problem(planted), [])[0]
        for price in (0.003, 0.03)
    ]
    for a, b in zip(together, alone, strict=True):
        assert a.setting == b.setting
        assert torch.equal(a.mask.keep, b.mask.keep)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["optimal", "counterfactual"])
def test_higher_prices_give_smaller_circuits(planted, name):
    hcgs = configured(
        "method", "hcgs", prices=[0.001, 0.3], steps=60, masks_per_step=6, learning_rate=0.1
    )
    large, small = hcgs.discover(training_problem(planted, name), [])
    assert planted.graph.n_edges >= large.mask.size > small.mask.size
    assert (large.requested_size, large.setting) == (None, "price=0.001")


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(planted, tmp_path, monkeypatch):
    hcgs = configured("method", "hcgs", prices=[0.01, 0.1], steps=12, masks_per_step=3)
    whole = hcgs.discover(training_problem(planted), [])
    monkeypatch.setattr("benchmark.training.loop.CHECKPOINT_EVERY", 4)
    replace(hcgs, steps=8).discover(training_problem(planted, work_folder=tmp_path), [])
    resumed = hcgs.discover(training_problem(planted, work_folder=tmp_path), [])
    for a, b in zip(whole, resumed, strict=True):
        assert torch.equal(a.mask.keep, b.mask.keep)
    with pytest.raises(UserError, match="made for other prices"):
        replace(hcgs, prices=[0.01, 0.2]).discover(
            training_problem(planted, work_folder=tmp_path), []
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hcgs", "subnetwork_probing"])
def test_a_price_is_weighed_against_the_mean_of_the_rows(kind):
    """A loss that adds up the rows moves the parameters by the mean of the rows' gradients."""

    def gradient(rows):
        if kind == "hcgs":
            sampler = masks(rows=rows)
            learned = sampler._parameters[0]
        else:
            settings = dict(learning_rate=0.1, masks_per_step=rows, initial_mask=0.6, seed=0)
            sampler = ProbingMasks(GRAPH, torch.zeros(1), Granularity.edge, **settings)
            learned = sampler._log_alpha
        total = torch.zeros(())
        for step in range(400 // rows):
            drawn = sampler.sample(step)
            assert len(drawn) == rows
            total = total + drawn.sum() / (400 // rows)
        total.backward()
        return float(learned.grad.sum())

    assert gradient(1) == pytest.approx(gradient(40), rel=0.2)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("hcgs", dict(learning_rate=-1.0)),
        ("hcgs", dict(prices=[float("nan")])),
        ("hcgs", dict(clip=0.0)),
        ("ugs", dict(window=0.0)),
        ("ugs", dict(node_price=-1.0)),
        ("subnetwork_probing", dict(constants_learning_rate=-1.0)),
        ("edge_pruning", dict(weight_decay=-1.0)),
        ("edge_pruning", dict(ramp_steps=-1)),
        ("edge_pruning", dict(initial_log_alpha=float("nan"))),
        ("edge_pruning", dict(component_target=0.5, component_masks=False)),
    ],
)
def test_settings_that_make_no_sense_are_refused(name, changes):
    with pytest.raises(UserError, match=f"method.{next(iter(changes))}"):
        configured("method", name, **changes)

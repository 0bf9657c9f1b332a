"""Edge Pruning: its schedule and multipliers, what it finds, and HAP, which restricts it."""

import math
from dataclasses import replace

import pytest
import torch
from support.made.models import edges_of_silent_nodes
from support.problems import training_problem
from support.values import largest

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.method.circuits import CircuitMethod
from benchmark.metric import KLDivergence
from methods.circuits.edge_pruning import EdgePruning
from methods.circuits.masks.schedule import Ramp, SparsitySchedule
from methods.circuits.masks.targeted import TargetedMasks

GRAPH = ComputationalGraph(2, 2)


def schedule(steps=3000, ramp=Ramp.linear):
    return SparsitySchedule(steps, warm_up_steps=200, ramp_steps=2500, ramp=ramp)


def masks(targets=(0.5,), subgraph=GRAPH.exists, **changes):
    settings = dict(
        component_masks=True,
        component_target=None,
        learning_rate=0.8,
        multiplier_learning_rate=0.8,
        weight_decay=0.01,
        initial_log_alpha=10.0,
        seed=0,
    )
    return TargetedMasks(
        subgraph, GRAPH.n_edges, list(targets), schedule(300), **settings | changes
    )


def trained(sampler, steps):
    """Steps without a loss but the price; the price of each."""
    costs = []
    for step in range(steps):
        sampler.sample(step)
        costs.append(sampler.price())
        costs[-1].backward()
        sampler.update()
    return costs


@pytest.mark.parametrize("steps", [3000, 600])
def test_the_schedule_is_the_authors_scaled_to_the_steps(steps):
    plan, targets = schedule(steps), torch.tensor([0.9, 1.1])

    def at(share):
        return round(share * steps)

    assert [plan.rate(at(x)) for x in (0, 1 / 30, 1 / 15)] == pytest.approx([0, 0.5, 1])
    assert plan.rate(at(8 / 15)) == pytest.approx(0.5)
    assert plan.rate(steps - 1) == pytest.approx(1 / (steps * 14 / 15))
    assert torch.equal(plan.target(0, 0.25, targets), torch.tensor([0.25, 0.25]))
    halfway = plan.target(at(5 / 12), 0.25, targets)
    assert largest(halfway, 0.25 + (targets - 0.25) / 2) < 1e-6
    assert largest(plan.target(at(0.9), 0.25, targets), targets) < 1e-6


def test_a_logarithmic_ramp_thins_what_is_left_by_equal_factors():
    plan, target = schedule(ramp=Ramp.logarithmic), torch.tensor([0.99])
    left = [1 - float(plan.target(step, 0.0, target)) for step in (0, 1250, 2500, 3000)]
    assert left == pytest.approx([1.0, 0.1, 0.01, 0.01], rel=1e-4)


def test_multipliers_ascend_and_gates_descend():
    sampler = masks((0.6,), component_masks=False)
    (edges,) = sampler._gates
    drawn = sampler.sample(200)
    sampler.price().backward()
    excess = float(
        1
        - drawn.detach().sum() / GRAPH.n_edges
        - schedule(300).target(200, 0.0, torch.tensor([0.6]))
    )
    assert excess < 0
    assert edges.multipliers.grad[0].tolist() == pytest.approx([excess, excess**2], rel=1e-4)
    sampler.update()
    # Adam's first step is as long as the learning rate, up the gradient.
    step = 0.8 * schedule(300).rate(200)
    assert edges.multipliers[0].tolist() == pytest.approx([-step, step], rel=1e-3)


def test_without_a_loss_gap_the_targets_are_met():
    """The multipliers alone bring draws to the sparsity asked for, each target its own."""
    sampler = masks((0.3, 0.7), component_masks=False)
    trained(sampler, 300)
    sparsity = 1 - sampler.sample(300).sum((1, 2)) / GRAPH.n_edges
    assert largest(sparsity, torch.tensor([0.3, 0.7])) < 0.12


def test_sources_turn_off_all_their_edges_and_may_have_a_target():
    free, aimed = masks(), masks(component_target=0.5)
    assert len(free._aimed) == 1 and len(aimed._aimed) == 2
    sampled = aimed.sample(0)
    edges, nodes = aimed._drawn
    assert torch.equal(sampled, edges * nodes)
    with torch.no_grad():
        aimed._gates[1].log_alpha[:, 3] = -20.0
    assert not bool(aimed.circuits()[:, 3].any())
    assert bool((aimed.circuits()[0, 2] == GRAPH.exists[2]).all())
    trained(aimed, 300)
    assert float(aimed._gates[1].kept().float().mean()) == pytest.approx(0.5, abs=0.2)


def test_a_subgraph_is_all_that_is_kept_and_its_sparsity_is_the_start():
    draw = torch.Generator().manual_seed(0)
    subgraph = (torch.rand(GRAPH.exists.shape, generator=draw) < 0.4) & GRAPH.exists
    sampler = masks((0.9,), subgraph, component_masks=False)
    assert torch.equal(sampler.sample(0)[0].detach() > 0, subgraph)
    # At step 0 the subgraph is as sparse as asked for.
    assert float(sampler.price().detach()) == 0
    assert torch.equal(sampler.circuits()[0] > 0, subgraph)
    sampler._gates[0].multipliers.data.fill_(1.0)
    excess = float(1 - subgraph.sum() / GRAPH.n_edges) - 0.9
    sampler.sample(290)
    assert float(sampler.price().detach()) == pytest.approx(excess + excess**2, abs=1e-5)


@pytest.fixture
def read_off(monkeypatch):
    """What every training ended with: what was trained, and the circuits before any pruning."""
    ends, circuits = [], TargetedMasks.circuits

    def seen(self):
        kept = circuits(self)
        ends.append(([x.detach().clone() for x in self._trained()], kept))
        return kept

    monkeypatch.setattr(TargetedMasks, "circuits", seen)
    return ends


@pytest.mark.slow
@pytest.mark.parametrize("ablation", ["counterfactual", "optimal"])
def test_the_target_is_met_and_mostly_by_edges_that_do_nothing(planted, ablation, read_off):
    silent, n_edges = edges_of_silent_nodes(planted.graph), planted.graph.n_edges
    target = float(silent.sum()) / n_edges
    method = configured(
        "method", "edge_pruning", targets=[target], steps=250, component_masks=False
    )
    assert isinstance(method, CircuitMethod)
    (found,) = method.discover(training_problem(planted, ablation), [])
    ((_, raw),) = read_off
    assert 1 - float(raw.sum()) / n_edges == pytest.approx(target, abs=0.05)
    assert (found.requested_size, found.setting) == (None, f"target={target:g}")
    kept = found.mask.keep > 0
    useful = float(kept[planted.graph.exists & ~silent].float().mean())
    assert useful > 2 * float(kept[silent].float().mean())


@pytest.mark.slow
def test_a_target_gives_the_same_circuit_whatever_the_others_are(planted):
    method = configured("method", "edge_pruning", targets=[0.3, 0.6, 1.02], steps=40)
    together = method.discover(training_problem(planted), [])
    grouped = replace(method, targets_at_once=2).discover(training_problem(planted), [])
    alone = [
        replace(method, targets=[target]).discover(training_problem(planted), [])[0]
        for target in (0.3, 0.6, 1.02)
    ]
    for a, b, c in zip(together, grouped, alone, strict=True):
        assert a.setting == b.setting == c.setting
        assert torch.equal(a.mask.keep, b.mask.keep) and torch.equal(a.mask.keep, c.mask.keep)


def test_without_targets_there_is_one_per_size(planted):
    method = configured("method", "edge_pruning", steps=1)
    n_edges = planted.graph.n_edges
    found = method.discover(training_problem(planted), [10, n_edges, 10])
    assert [circuit.setting for circuit in found] == ["target=0", f"target={1 - 10 / n_edges:g}"]
    assert len(method.discover(training_problem(planted), [])) == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(planted, tmp_path, monkeypatch, read_off):
    method = configured(
        "method", "edge_pruning", targets=[0.4, 0.9], component_target=0.3, steps=14
    )
    method.discover(training_problem(planted, "optimal"), [])
    monkeypatch.setattr("benchmark.training.loop.CHECKPOINT_EVERY", 4)
    update, calls = TargetedMasks.update, []

    def killed(self):
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        update(self)

    monkeypatch.setattr(TargetedMasks, "update", killed)
    with pytest.raises(KeyboardInterrupt):
        method.discover(training_problem(planted, "optimal", tmp_path), [])
    monkeypatch.setattr(TargetedMasks, "update", update)
    method.discover(training_problem(planted, "optimal", tmp_path), [])
    (whole, _), (resumed, _) = read_off
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    for changes, name in ((dict(targets=[0.4, 0.8]), "targets"), (dict(steps=20), "steps")):
        with pytest.raises(UserError, match=f"made for other {name}"):
            replace(method, **changes).discover(training_problem(planted, "optimal", tmp_path), [])


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_hap_never_keeps_an_edge_that_attribution_dropped(planted, share):
    method = configured("method", "hap", targets=[0.5, 1.02], share=share, steps=150)
    assert isinstance(method, EdgePruning)
    asked = training_problem(planted)
    scores = configured("method", "eap").scores(asked).absolute()
    survivors = scores.top(round(share * planted.graph.n_edges)).keep > 0
    found = method.discover(asked, [])
    assert any(circuit.mask.size for circuit in found)
    for circuit in found:
        assert not bool((circuit.mask.keep > 0)[~survivors].any())
    assert found[1].mask.size < int(survivors.sum())


def test_what_neither_half_of_hap_can_do(planted):
    hap, pruning = (configured("method", name) for name in ("hap", "edge_pruning"))
    no_gradient = replace(training_problem(planted), metric=KLDivergence())
    assert "gradient of the loss gap" in hap.unsupported(no_gradient)
    assert pruning.unsupported(no_gradient) is None
    resample = training_problem(planted, "resample")
    assert "donors" in replace(pruning, batch_size=1).unsupported(resample)
    assert "donors" in replace(hap, scores_batch_size=1).unsupported(resample)
    assert hap.unsupported(resample) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(targets=[]), "targets needs one or more numbers"),
        (dict(targets=[0.9, 0.9]), "names one number twice"),
        (dict(targets_at_once=0), "targets_at_once=0 must be 1 or more"),
        (dict(share=0.0), "share=0.0 must be above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        configured("method", "hap", **changes)


def test_a_logarithmic_ramp_leads_nowhere_near_1(planted):
    method = configured("method", "edge_pruning", ramp="logarithmic", targets=[1.0])
    with pytest.raises(UserError, match="targets below 1"):
        method.discover(training_problem(planted), [])
    assert math.isfinite(float(schedule(ramp=Ramp.logarithmic).target(9, 0.5, torch.tensor([0.2]))))


def test_hap_asks_for_no_more_edges_than_attribution_leaves(gpt2):
    asked = training_problem(gpt2)
    hap = configured("method", "hap", share=0.2, steps=2)
    targets = hap._targets(asked, [10, 20, 60, gpt2.graph.n_edges])
    n_edges = gpt2.graph.n_edges
    assert targets == pytest.approx([1 - 10 / n_edges, 1 - 20 / n_edges, 0.8], abs=1e-6)
    logarithmic = configured("method", "edge_pruning", ramp="logarithmic", component_target=1.0)
    with pytest.raises(UserError, match="logarithmic ramp needs targets below 1"):
        logarithmic._targets(asked, [10])

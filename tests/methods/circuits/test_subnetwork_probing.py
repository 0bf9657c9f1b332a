"""Subnetwork probing: what a mask of nodes does to edges, what it costs, and what it finds."""

from dataclasses import replace

import pytest
import torch
from support.made.models import edges_of_silent_nodes
from support.problems import training_problem
from support.values import largest

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, Pruning
from methods.circuits.masks.hard_concrete import log_alpha_of, probability_nonzero
from methods.circuits.masks.probing import Granularity, ProbingMasks
from methods.circuits.scoring.readers import edges_between

GRAPH = ComputationalGraph(2, 3)


def masks(granularity, prices=(1.0,), rows=3):
    return ProbingMasks(
        GRAPH,
        torch.tensor(prices),
        granularity,
        learning_rate=0.1,
        masks_per_step=rows,
        initial_mask=0.9,
        seed=0,
    )


@pytest.mark.parametrize("seed", range(8))
def test_at_0_and_1_the_circuit_is_all_edges_between_surviving_nodes(seed):
    draw = torch.Generator().manual_seed(seed)
    alive = torch.rand(GRAPH.n_destinations, generator=draw) < 0.5
    readers = {name for name, on in zip(GRAPH.destinations, alive.tolist(), strict=False) if on}
    nodes = {name.split("<")[0] for name in readers} | {"input"}
    wanted = [
        name
        for name in EdgeMask.full(GRAPH).edges()
        if name.split("->")[0] in nodes and name.split("->")[1] in readers | {"logits"}
    ]
    circuit = EdgeMask(GRAPH, edges_between(GRAPH, alive.float()))
    assert circuit.edges() == wanted
    assert circuit.pruned(Pruning.dangling).edges() == wanted


def test_between_0_and_1_a_head_is_kept_as_far_as_any_of_its_readers():
    readers = torch.rand(5, GRAPH.n_destinations, generator=torch.Generator().manual_seed(0))
    edges = edges_between(GRAPH, readers)
    into, of = GRAPH.destination_index, GRAPH.edge
    lost = [1 - readers[:, into[f"a0.h2<{kind}>"]] for kind in "qkv"]
    head = 1 - lost[0] * lost[1] * lost[2]
    for reader in ("a1.h0<k>", "m1"):
        u, v = of(f"a0.h2->{reader}")
        assert largest(edges[:, u, v], head * readers[:, into[reader]]) < 1e-6
    u, v = of("m0->logits")
    assert torch.equal(edges[:, u, v], readers[:, into["m0"]])
    u, v = of("input->logits")
    assert torch.equal(edges[:, u, v], torch.ones(5))


@pytest.mark.parametrize("granularity", Granularity)
def test_the_price_is_on_the_mean(granularity):
    sampler = masks(granularity, prices=(0.5, 2.0))
    some = float(probability_nonzero(torch.tensor(log_alpha_of(0.9))))
    assert float(sampler.price().detach()) == pytest.approx(2.5 * some, rel=1e-5)
    assert sampler.sample(0).shape == (6, *GRAPH.exists.shape)
    sampler.price().backward()
    gradient = sampler._log_alpha.grad[0]
    if granularity is Granularity.reader:
        # An MLP is a module of its own; a head is one of three.
        q, mlp = (GRAPH.destination_index[name] for name in ("a0.h0<q>", "m0"))
        assert float(gradient[0, mlp]) == pytest.approx(3 * float(gradient[0, q]))
        assert float(gradient[0, -1]) == 0
    else:
        assert bool((gradient[~GRAPH.exists] == 0).all())


QUICK = {
    "subnetwork_probing": dict(prices=[0.3], steps=100, learning_rate=0.1),
    "subnetwork_probing_edges": dict(prices=[0.3], steps=100, learning_rate=0.1),
}


@pytest.mark.slow
@pytest.mark.parametrize("ablation", ["counterfactual", "optimal"])
@pytest.mark.parametrize("name", QUICK)
def test_what_does_nothing_is_left_out(planted, name, ablation):
    method = configured("method", name, **QUICK[name])
    (found,) = method.discover(training_problem(planted, ablation), [])
    silent = edges_of_silent_nodes(planted.graph)
    useful = planted.graph.exists & ~silent
    kept = found.mask.keep > 0
    assert float(kept[silent].float().mean()) < 0.1
    assert float(kept[useful].float().mean()) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_grid_gives_what_its_prices_give_alone(planted, name):
    method = configured("method", name, **QUICK[name] | dict(prices=[0.1, 10.0], steps=30))
    large, small = method.discover(training_problem(planted), [])
    assert large.mask.size > small.mask.size
    assert (large.setting, large.requested_size) == ("price=0.1", None)
    for price, wanted in ((0.1, large), (10.0, small)):
        alone = replace(method, prices=[price]).discover(training_problem(planted), [])
        assert torch.equal(alone[0].mask.keep, wanted.mask.keep)


def test_settings_that_cannot_be_are_refused(planted):
    with pytest.raises(UserError, match=r"initial_mask=1.5 must lie in \[0, 1\]"):
        configured("method", "subnetwork_probing", initial_mask=1.5)
    with pytest.raises(UserError, match="granularity cannot be used"):
        configured("method", "subnetwork_probing", granularity="head")
    method = configured("method", "subnetwork_probing", batch_size=1)
    assert "donors" in method.unsupported(training_problem(planted, "resample"))

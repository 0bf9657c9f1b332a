"""ACDC: the plain algorithm's decisions, gates whose answer is known, and resuming."""

import pytest
import torch
from support.problems import problem
from support.prompts import random_batch

from benchmark.ablations.other_prompts import Counterfactual
from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from benchmark.meter import metering
from benchmark.metric import KLDivergence
from methods.circuits.search.order import phases
from methods.circuits.search.search import Search


def plain(  # noqa: C901
    model, batch, values, tau, metric, *, projections, last_head_first=False, absolute=False
):
    """The algorithm as published: one edge at a time, every pass a whole one."""
    graph, keep = model.graph, model.graph.exists.double()
    clean = clean_logits(model, batch.clean, batch.read_at)

    def loss(keep):
        value = metric(masked_logits(model, keep, batch, values), batch, clean).mean()
        return float(-value if metric.higher_is_better else value)

    def parents(n_sources):
        """The latest sublayer first; heads of one layer in increasing order."""
        names = graph.sources[:n_sources]
        place = {name: (int(name[1:].split(".")[0]) if i else -1) for i, name in enumerate(names)}
        order = {n: (-place[n], n.startswith("a"), i) for i, n in enumerate(names)}
        return sorted(range(n_sources), key=lambda u: order[names[u]])

    current, tests = loss(keep), 0

    def attempt(sources, v):
        nonlocal current, tests
        if not keep[sources, v].any():
            return
        before = keep[:, v].clone()
        keep[sources, v] = 0
        tests += 1
        change = loss(keep) - current
        if (abs(change) if absolute else change) < tau:
            current += change
        else:
            keep[:, v] = before

    heads = range(graph.n_heads)[:: -1 if last_head_first else 1]
    groups = [["logits"]]
    for layer in reversed(range(graph.n_layers)):
        readers = [f"a{layer}.h{head}<{kind}>" for kind in "vkq" for head in heads]
        groups += [[f"m{layer}"], readers]
    for group in groups:
        indices = [graph.destination_index[name] for name in group]
        for v in indices:
            writer = graph.writer_of[v]
            if writer is not None and not keep[writer].any():
                keep[:, v] = 0
        n_sources = int(graph.exists[:, indices[0]].sum())
        if projections and "<" in group[0]:
            for v in indices:
                attempt(parents(n_sources), v)
        for v in indices:
            for u in parents(n_sources):
                attempt([u], v)
    return keep, tests


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("ablation", ["counterfactual", "zero", "mean"])
def test_kept_edges_are_those_of_the_plain_algorithm(models, family, ablation):
    model = models[family]
    asked = problem(model, ablation)
    batch = asked.batches[0]
    projections = family != "llama"
    settings = dict(projections=projections, last_head_first=family == "gpt2")
    thresholds = [0.001, 0.01, 0.05, 0.3]
    acdc = configured("method", "acdc", thresholds=thresholds, candidates_at_once=4, **settings)
    search = acdc.search(asked)
    found = search.run()
    values, n_tests = asked.replacement(batch), 0
    for tau in thresholds:
        keep, tests = plain(model, batch, values, tau, KLDivergence(), **settings)
        n_tests += tests
        assert torch.equal(found[tau].double(), keep), tau
    assert len({int(keep.sum()) for keep in found.values()}) > 1
    # Thresholds share tests, and no guess is run for nothing too often.
    assert search.tested < n_tests
    assert search.passes < 2 * search.tested


@pytest.mark.slow
@pytest.mark.parametrize("absolute", [False, True])
def test_a_task_metric_and_absolute_changes(gpt2, absolute):
    asked = problem(gpt2)
    acdc = configured(
        "method", "acdc", thresholds=[0.02], objective="metric", absolute=absolute, batch_size=3
    )
    values = asked.replacement(asked.batches[0])
    keep, _ = plain(
        gpt2, asked.batches[0], values, 0.02, asked.metric, projections=True, absolute=absolute
    )
    assert torch.equal(acdc.search(asked).run()[0.02].double(), keep)


def gate(rule):
    """A search whose loss is a rule over the names of kept edges, on a graph of one layer."""
    graph = ComputationalGraph(n_layers=1, n_heads=2)

    def loss(masks, start_layer):
        circuits = (set(EdgeMask(graph, keep).edges()) for keep in masks)
        return torch.tensor([0.0 if rule(edges) else 1.0 for edges in circuits])

    order = phases(graph, True, False)
    sizes = dict(most_ahead=2, masks_at_once=3)
    search = Search(graph, loss, order, [0.5], absolute=False, **sizes)
    return set(EdgeMask(graph, search.run()[0.5]).edges())


def test_an_or_gate_keeps_one_input_and_an_and_gate_both():
    inputs = {"a0.h0->logits", "a0.h1->logits"}
    assert len(inputs & gate(lambda edges: bool(edges & inputs))) == 1
    assert inputs <= gate(lambda edges: inputs <= edges)


def test_a_node_that_nothing_reads_loses_its_inputs_untested(gpt2):
    acdc = configured("method", "acdc", thresholds=[1e9])
    search = acdc.search(problem(gpt2))
    assert int(search.run()[1e9].sum()) == 0
    # Only the edges into the logits were ever tested.
    assert search.tested == gpt2.graph.n_sources


@pytest.mark.slow
def test_reused_prefixes_save_passes(gpt2):
    asked = problem(gpt2)
    search = configured("method", "acdc", thresholds=[0.001], candidates_at_once=1).search(asked)
    with metering() as cost:
        search.run()
    assert search.passes == search.tested
    n_prompts = len(asked.batches[0])
    assert cost.forward / n_prompts < 0.8 * search.tested


@pytest.mark.slow
def test_a_search_resumes_where_it_stopped(gpt2, tmp_path, monkeypatch):
    acdc = configured("method", "acdc", thresholds=[0.001, 0.02])
    asked, path = problem(gpt2), tmp_path / "acdc.checkpoint"
    whole = acdc.search(asked).run()
    searched, calls = Search._searched, []

    def stops_at_third(self, phase):
        calls.append(phase)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return searched(self, phase)

    monkeypatch.setattr(Search, "_searched", stops_at_third)
    with pytest.raises(KeyboardInterrupt):
        acdc.search(asked).run(path)
    monkeypatch.undo()
    calls.clear()

    def counted(self, phase):
        calls.append(phase)
        return searched(self, phase)

    monkeypatch.setattr(Search, "_searched", counted)
    resumed = acdc.search(asked).run(path)
    assert len(calls) == len(phases(gpt2.graph, True, False)) - 2
    assert all(torch.equal(resumed[tau], whole[tau]) for tau in whole)


@pytest.mark.parametrize(
    ("ablation", "changes"),
    [("counterfactual", dict(thresholds=[0.5])), ("zero", {}), ("zero", dict(objective="metric"))],
)
def test_a_checkpoint_of_another_search_is_refused(gpt2, tmp_path, ablation, changes):
    path = tmp_path / "acdc.checkpoint"
    configured("method", "acdc", thresholds=[1e9]).search(problem(gpt2)).run(path)
    other = configured("method", "acdc", **{"thresholds": [1e9], **changes})
    with pytest.raises(UserError, match="made with other settings"):
        other.search(problem(gpt2, ablation)).run(path)


def test_prompts_of_several_lengths_with_a_kept_first_position(gpt2):
    batch = random_batch(first_token=3)
    asked = problem(gpt2)
    object.__setattr__(asked, "batches", [batch])
    object.__setattr__(asked, "ablation", Counterfactual(keep_first=True))
    found = configured("method", "acdc", thresholds=[0.01]).search(asked).run()[0.01]
    values = Counterfactual(keep_first=True).fit(gpt2, [batch])(batch)
    keep, _ = plain(gpt2, batch, values, 0.01, KLDivergence(), projections=True)
    assert torch.equal(found.double(), keep)

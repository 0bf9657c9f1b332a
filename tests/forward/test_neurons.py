"""Neurons: identities of the masked pass, derivatives, the prefix rule, and whole records."""

from dataclasses import replace
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from support.cells import cell
from support.held_out import circuits, held_out
from support.models import linear
from support.problems import problem
from support.prompts import random_batch
from support.values import counterfactual, largest, random_masks, random_values
from transformers import AutoModelForCausalLM

from benchmark.config import configured, configured_alone, configured_names
from benchmark.effects.edges.first_order import effects_at_clean
from benchmark.errors import UserError
from benchmark.evaluation.circuits import circuit_scores
from benchmark.evaluation.curve import aurocs, recovery
from benchmark.forward.passes import clean_logits, masked_logits, masked_prefix
from benchmark.forward.values import zero_values
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, stack
from benchmark.method.circuits import FoundCircuit, stacked_neurons
from benchmark.metric import LogitDifference, OverWrong
from benchmark.models.loading import load_model
from benchmark.records.record import CIRCUITS_FILE, TABLE, Status
from benchmark.report.circuits.drawing import readable_circuit
from benchmark.run.runner import run_cell
from benchmark.run.verify import verify_record
from methods.circuits.eap import EAP
from methods.circuits.scoring.attribution import Attribution
from methods.circuits.scoring.selection import neuron_circuits

EXACT, STEP = 1e-12, 1e-6
DIFFERENCE = LogitDifference(OverWrong.mean)


def random_neurons(model, *rows, seed=0):
    draw = torch.Generator().manual_seed(seed)
    shape = *rows, model.graph.n_sources, model.shape.d_model
    return torch.rand(shape, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("keep_first", [False, True])
def test_neurons_all_kept_none_kept_and_kept_alike(model, keep_first):
    batch, masks = random_batch(), random_masks(model.graph, 3)
    ones = torch.ones(model.graph.n_sources, model.shape.d_model)
    nodes = random_neurons(model, 3)[..., :1]
    for values in (
        counterfactual(model, batch, keep_first),
        random_values(model, (3, 1, 1), keep_first=keep_first),
    ):

        def logits(mask, neurons=None, values=values, **options):
            return masked_logits(model, mask, batch, values, neurons=neurons, **options)

        assert torch.equal(logits(masks, ones), logits(masks))
        nothing = logits(torch.zeros_like(masks))
        assert largest(logits(masks, 0 * ones), nothing) < EXACT
        alike = logits(masks, nodes.expand(3, *ones.shape).contiguous())
        assert largest(alike, logits(masks * nodes)) < EXACT
        as_node_mask = logits(torch.ones_like(nodes), nodes * ones.double())
        assert largest(as_node_mask, logits(nodes)) < EXACT
        # Rows do not leak into each other, nor read positions into the rest.
        own = random_neurons(model, 3)
        everywhere = logits(masks, own, every_position=True)
        assert largest(everywhere[:, range(4), batch.read_at], logits(masks, own)) < EXACT
        shared = logits(masks, own[1])
        assert largest(shared[1], logits(masks, own)[1]) < EXACT


def test_half_a_neuron_is_half_way(gpt2):
    """Without norms, where the logits are linear in what they read."""
    model, batch, values = linear(gpt2), random_batch(), random_values(gpt2, (1, 1, 1))
    mask = EdgeMask.of_edges(gpt2.graph, ["m1->logits"])
    neurons = random_neurons(gpt2)
    ends = [masked_logits(model, mask, batch, values, neurons=n * neurons) for n in (0, 0.5, 1)]
    assert largest(ends[1], (ends[0] + ends[2]) / 2) < EXACT
    assert largest(ends[0], ends[2]) > 1e-3


def test_ablating_neurons_is_removing_them_from_the_weights(gpt2, model_directories):
    """Zero ablation of some neurons of a head and of an MLP, by hand on the Hugging Face model."""
    batch, index = random_batch(), gpt2.graph.source_index
    neurons = torch.ones(gpt2.graph.n_sources, gpt2.shape.d_model)
    neurons[index["a0.h2"], 3:9] = 0
    neurons[index["m1"], 10:] = 0
    by_hand = AutoModelForCausalLM.from_pretrained(
        model_directories["gpt2"], dtype=torch.float64
    ).eval()
    with torch.no_grad():
        by_hand.transformer.h[0].attn.c_proj.weight[2 * 8 : 3 * 8, 3:9] = 0
        by_hand.transformer.h[1].mlp.c_proj.weight[:, 10:] = 0
        by_hand.transformer.h[1].mlp.c_proj.bias[10:] = 0
        expected = by_hand(batch.clean).logits[torch.arange(len(batch)), batch.read_at]
    zeros, full = zero_values(gpt2.shape, keep_first=False), EdgeMask.full(gpt2.graph)
    assert largest(masked_logits(gpt2, full, batch, zeros, neurons=neurons), expected) < EXACT


@pytest.mark.parametrize("axes", [(1, 1, 1), (3, 4, 8)])
def test_gradients_of_masks_and_values(model, axes):
    batch, values = random_batch(), random_values(model, axes)
    # Of each mask row, or of all.
    neurons = random_neurons(model, 3) if axes[0] == 1 else random_neurons(model)
    points = [random_masks(model.graph, 3), *values.tensors]
    leaves = [point.clone().requires_grad_() for point in points]

    def loss(mask, *tensors, neurons=neurons):
        at = type(values)(*tensors, keep_first=True)
        return masked_logits(model, mask, batch, at, neurons=neurons).square().sum()

    gradients = torch.autograd.grad(loss(*leaves), leaves)
    for i, gradient in enumerate(gradients):
        direction = torch.randn(gradient.shape, dtype=torch.float64)
        direction = direction * model.graph.exists if i == 0 else direction

        def along(step, i=i, direction=direction):
            with torch.no_grad():
                return loss(*points[:i], points[i] + step * direction, *points[i + 1 :])

        expected = float((along(STEP) - along(-STEP)) / 2 / STEP)
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    # Neurons that are all kept change no gradient.
    ones = torch.ones_like(neurons)
    for same, plain in zip(
        torch.autograd.grad(loss(*leaves, neurons=ones), leaves),
        torch.autograd.grad(loss(*leaves, neurons=None), leaves),
        strict=True,
    ):
        assert largest(same, plain) < 1e-9


def test_an_ablated_neuron_teaches_its_constant_whatever_the_mask(gpt2):
    batch, masks = random_batch(), random_masks(gpt2.graph, 2, binary=True)
    neurons = (random_neurons(gpt2, 2) > 0.5).double()

    def gradients(masks, threshold):
        leaves = random_values(gpt2, (1, 1, 1)).map(lambda x: x.requires_grad_())
        given = dict(constants_learn_below=threshold, neurons=neurons)
        masked_logits(gpt2, masks, batch, leaves, **given).square().sum().backward()
        return [leaf.grad for leaf in leaves.tensors]

    pairs = zip(gradients(masks, 1e-3), gradients(masks, None), strict=True)
    assert all(largest(a, b) < EXACT for a, b in pairs)
    never = (neurons[:, 0] == 1).all(0)
    of_input = gradients(0 * masks + 0.5 * gpt2.graph.exists, 1e-3)[0][0, 0, 0]
    assert not bool(of_input[never].any()) and bool(of_input[~never].all())


def test_eap_scores_are_the_derivative_in_the_neurons(model):
    batch, full = random_batch(), EdgeMask.full(model.graph)
    values = counterfactual(model, batch)
    scores = effects_at_clean(model, batch, values, DIFFERENCE).neurons
    clean = clean_logits(model, batch.clean, batch.read_at)
    ones = torch.ones_like(scores)

    def metric(direction):
        logits = masked_logits(model, full, batch, values, neurons=ones + direction)
        return float(DIFFERENCE(logits, batch, clean).sum())

    single = torch.zeros_like(ones)
    single[3, 5] = 1
    for direction in (random_neurons(model), single):
        slope = (metric(STEP * direction) - metric(-STEP * direction)) / 2 / STEP
        assert float((scores * direction).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-7)


def weighted_by_hand(graph, kept, d_model):
    """Over the names of edges: the share of neurons of each source that has some."""
    whole = EdgeMask.full(graph).edges()
    share = {name: len(kept.get(name, ())) / d_model for name in graph.sources}
    alive = {"logits", *(name for name in graph.sources if share[name])}
    ends = [edge.split("->") for edge in whole]
    return sum(share[u] for u, v in ends if v.split("<")[0] in alive)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("parallel", [False, True])
def test_a_size_gives_the_longest_prefix_within_it(absolute, parallel):
    graph, d_model = ComputationalGraph(2, 2, parallel), 4
    scores = torch.randn(graph.n_sources, d_model, generator=torch.Generator().manual_seed(3))
    importance = scores.abs() if absolute else scores
    ranked = sorted(
        ((u, d) for u in range(graph.n_sources) for d in range(d_model)),
        key=lambda pair: -importance[pair],
    )
    counts = []
    for n in range(len(ranked) + 1):
        kept = {}
        for u, d in ranked[:n]:
            kept.setdefault(graph.sources[u], set()).add(d)
        counts.append(weighted_by_hand(graph, kept, d_model))
    assert counts == sorted(counts) and counts[-1] == graph.n_edges
    sizes = list(range(graph.n_edges + 1))
    for size, found in zip(sizes, neuron_circuits(graph, scores, sizes, absolute), strict=True):
        longest = max(n for n, count in enumerate(counts) if count <= size + 1e-9)
        assert found.setting == f"size={size}, neurons={longest}" and found.requested_size == size
        assert found.size == pytest.approx(counts[longest])
        assert set(map(tuple, found.neurons.nonzero().tolist())) == set(ranked[:longest])


@pytest.mark.parametrize(
    "name",
    [n for n in configured_names("method") if isinstance(configured("method", n), Attribution)],
)
def test_every_attribution_has_neurons_but_exact_patching(gpt2, name):
    if name == "exact":
        with pytest.raises(UserError, match="granularity=edge or component"):
            configured("method", name, granularity="neuron")
        return
    method = configured("method", name, granularity="neuron")
    sizes = [0, 5, 40, gpt2.graph.n_edges]
    found = method.discover(problem(gpt2), sizes)
    assert all(circuit.size <= size for circuit, size in zip(found, sizes, strict=True))
    for circuit, larger in pairwise(found):
        assert bool((circuit.neurons <= larger.neurons).all())
        assert torch.equal(circuit.mask.keep.any(1), circuit.neurons.any(1))
    assert bool((found[-1].neurons == 1).all()) and not bool(found[0].neurons.any())
    with pytest.raises(UserError, match="selection=top"):
        configured("method", name, granularity="neuron", selection="greedy")


def test_neurons_that_do_not_fit_are_refused(gpt2):
    batch, values, mask = random_batch(), random_values(gpt2, (1, 1, 1)), EdgeMask.full(gpt2.graph)
    neurons, prefix = random_neurons(gpt2), masked_prefix(gpt2, mask, batch, values)
    for message, given, options in (
        (r"neurons of shape \(11, 31\)", neurons[:, 1:], {}),
        (r"neurons of shape \(2, 11, 32\)", neurons.expand(2, -1, -1), {}),
        ("neurons.detach", neurons.clone().requires_grad_(), {}),
        ("start_layer=0, not 1", neurons, dict(prefix=prefix, start_layer=1)),
    ):
        with pytest.raises(UserError, match=message):
            masked_logits(gpt2, mask, batch, values, neurons=given, **options)
    some = [FoundCircuit(mask, "a"), FoundCircuit(mask, "b", neurons=neurons)]
    with pytest.raises(UserError, match="1 of 2 circuits"):
        stacked_neurons(some)


def test_half_precision(model_directories):
    model = load_model(model_directories["gpt2"], dtype="bfloat16")
    batch, full = random_batch(), EdgeMask.full(model.graph)
    values = counterfactual(model, batch)
    neurons = random_neurons(model)
    found = masked_logits(model, full, batch, values, neurons=neurons)
    exact = load_model(model_directories["gpt2"], dtype="float64")
    wanted = masked_logits(exact, full, batch, counterfactual(exact, batch), neurons=neurons)
    assert largest(found, wanted) < 0.05
    assert torch.equal(
        masked_logits(model, full, batch, values, neurons=torch.ones_like(neurons)),
        masked_logits(model, full, batch, values),
    )


@pytest.mark.parametrize("name", ["counterfactual", "optimal"])
def test_evaluation_applies_each_circuits_neurons(gpt2, name, tmp_path):
    """Neurons alike are node circuits; under optimal ablation constants are trained for them."""
    changes = dict(steps=5, batch_size=4) if name == "optimal" else {}
    ablation, data, masks = (
        configured("ablation", name, **changes),
        held_out(),
        circuits(gpt2.graph),
    )
    nodes = (random_neurons(gpt2, 3)[..., :1] > 0.5).float()
    closed = [EdgeMask(gpt2.graph, m.keep * n) for m, n in zip(masks, nodes, strict=True)]
    neurons = nodes.expand(-1, -1, gpt2.shape.d_model)
    expected = circuit_scores(gpt2, closed, ablation, data)["loss_gap"]
    path = tmp_path / "constants"
    found = circuit_scores(gpt2, masks, ablation, data, path, neurons)["loss_gap"]
    assert largest(found, expected) < 1e-9
    if name == "optimal":
        with pytest.raises(UserError, match="made with another model"):
            ablation.train(
                gpt2,
                stack(masks),
                data.train,
                neurons=1 - neurons,
                checkpoint=next(tmp_path.iterdir()),
            )


def test_recovery_counts_edges_with_any_neuron(gpt2):
    reference = circuits(gpt2.graph, 1)[0]
    neurons = torch.zeros(gpt2.graph.n_sources, gpt2.shape.d_model)
    neurons[:, 0] = 1
    found = [FoundCircuit(reference, "itself", neurons=neurons)]
    assert recovery(found, reference).iloc[0][["edge_precision", "edge_recall"]].tolist() == [1, 1]
    assert aurocs(found, reference)["auroc_edges"] == 1
    assert found[0].size == pytest.approx(reference.size / gpt2.shape.d_model)


def neuron_cell(results_dir, **changes):
    settings = cell(results_dir, sizes=[0.05, 0.5, 1.0], **changes)
    return replace(settings, method={**settings.method, "granularity": "neuron"})


def test_a_record_of_neurons(tmp_path, monkeypatch):
    settings = neuron_cell(tmp_path, evaluate_under=["counterfactual", "optimal"])

    def killed(*arguments):
        raise KeyboardInterrupt

    # Circuits of neurons survive a kill in evaluation.
    monkeypatch.setattr("benchmark.run.circuits._evaluated", killed)
    with pytest.raises(KeyboardInterrupt):
        run_cell(settings)
    monkeypatch.undo()
    monkeypatch.setattr(EAP, "discover", killed)
    record = run_cell(settings).record
    monkeypatch.undo()
    assert record.status is Status.done, record.reason
    folder = settings.folder.path
    curve, tensors = pd.read_parquet(folder / TABLE), load_file(folder / CIRCUITS_FILE)
    assert tensors["neurons"].shape == (3, *tensors["neurons"].shape[1:])
    edges = curve["size"].tolist()
    assert 0 < edges[0] <= 5 < edges[1] <= 55 < edges[2] == 110 and edges[3:] == edges[:3]
    assert curve["loss_gap"][2] < 1e-6 < curve["loss_gap"][1] < curve["loss_gap"][0]
    assert curve["faithfulness"][2] == pytest.approx(1)
    assert all(pd.notna(list(areas.values())).all() for areas in record.areas.values())
    _, drawn = readable_circuit(folder)
    assert len(drawn) in (tensors["keep"] > 0).sum((1, 2)).tolist()
    agrees, table = verify_record(tmp_path, record.key)
    assert agrees and "exactly" in str(table.renderables[-1])
    asked = dict(
        results_dir=str(tmp_path), other_cells=True, directory=str(tmp_path / "submission")
    )
    with pytest.raises(UserError, match="has circuits of neurons"):
        configured_alone("submit", **asked).run()
    assert not Path(asked["directory"]).exists()


def test_tables_and_figures_of_neurons_beside_edges(tmp_path):
    results_dir = tmp_path / "results"
    for settings in (neuron_cell(results_dir), cell(results_dir, sizes=[0.05, 0.5, 1.0])):
        assert run_cell(settings).record.status is Status.done
    shown = configured_alone("leaderboard", results_dir=str(results_dir)).run()
    console = Console(file=StringIO(), width=200)
    console.print(shown)
    assert "granularity=neuron" in console.file.getvalue()
    pictures = tmp_path / "pictures"
    configured_alone("figures", results_dir=str(results_dir), directory=str(pictures)).run()
    assert any(pictures.iterdir())

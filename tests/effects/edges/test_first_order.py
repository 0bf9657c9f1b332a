"""First-order and exact effects: identities on every family, brute force, and linear models."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from support.made.models import linear
from support.problems import problem
from support.prompts import random_batch
from support.values import counterfactual, largest, random_neurons, random_values

from benchmark.config import configured
from benchmark.effects.edges.exact import exact_edge_effects, exact_source_effects
from benchmark.effects.edges.first_order import (
    CleanRun,
    effects_at_activations,
    effects_at_clean,
    effects_at_inputs,
)
from benchmark.effects.edges.taps import EffectSums, Held, TappedStream
from benchmark.forward.layers import embedded, run
from benchmark.forward.passes import clean_logits, masked_logits, source_values
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.metric import KLDivergence, LogitDifference, OverWrong
from benchmark.transformer.transformer import Transformer

DIFFERENCE = LogitDifference(OverWrong.mean)
NEAR, STEP = 1e-9, 1e-6


def mask_gradient(model, batch, values, objective=DIFFERENCE):
    mask = model.graph.exists.double().requires_grad_()
    logits = masked_logits(model, mask, batch, values)
    objective(logits, batch, logits.detach()).sum().backward()
    return mask.grad


@pytest.mark.parametrize("keep_first", [False, True])
def test_effects_are_the_gradient_of_the_mask(model, keep_first):
    batch = random_batch()
    for values in (
        counterfactual(model, batch, keep_first),
        random_values(model, (1, 1, 1), keep_first=keep_first),
    ):
        found = effects_at_clean(model, batch, values, DIFFERENCE)
        assert largest(found.edges, mask_gradient(model, batch, values)) < NEAR
        assert largest(found.neurons.sum(1), found.edges.sum(1)) < NEAR


def test_effects_at_other_inputs_are_the_clean_differences_with_their_gradients(model):
    """At an input, mask gradients with values (its sources - differences) are the same products."""
    batch, shares = random_batch(), [0.0, 0.3, 1.0]
    replacement = counterfactual(model, batch, True)
    clean = CleanRun.of(model, batch, replacement)
    inputs = clean.inputs_at(shares)
    found = effects_at_inputs(model, clean, inputs, DIFFERENCE)
    live, expected = source_values(model, batch.clean), 0
    for x in inputs:
        weights = replace(model.weights, embed=lambda tokens, x=x: x)
        moved = Transformer(weights, model.shape, model.dtype, model.device)
        there = source_values(moved, batch.clean)
        triples = zip(there.tensors, live.tensors, replacement.tensors, strict=True)
        values = type(live)(*(y - (a - c) for y, a, c in triples), keep_first=True)
        expected = expected + mask_gradient(moved, batch, values) / len(shares)
    assert largest(found.edges, expected) < NEAR
    assert largest(found.neurons.sum(1), found.edges.sum(1)) < NEAR


@pytest.mark.parametrize("own", [False, True])
def test_activation_paths_equal_whole_passes(model, own):
    """Starting at the moving sublayer and one pass back for all equal a whole pass for each."""
    batch, shares = random_batch(), [0.5, 1.0]
    clean = CleanRun.of(model, batch, counterfactual(model, batch, True))
    found = effects_at_activations(model, clean, shares, DIFFERENCE, own=own)
    first = effects_at_inputs(model, clean, clean.inputs_at(shares), DIFFERENCE)
    expected = torch.zeros_like(found.edges)
    expected[: 1 if own else None] += first.edges[: 1 if own else None]
    graph, last = model.graph, model.graph.n_layers - 1
    for layer in range(graph.n_layers):
        heads = slice(graph.head_source(layer), graph.mlp_source(layer))
        for sources in (heads, slice(heads.stop, heads.stop + 1)):
            whole = clean.differences.at_reads if layer == last else clean.differences.everywhere
            effects = EffectSums(graph, clean.live.input)
            effects.differences = clean.differences
            x = embedded(model, batch.clean)[None, None].requires_grad_()
            for share in shares:
                held = Held(layer, sources, (share - 1) * whole[sources].sum(0)[None])
                stream = TappedStream(x, effects, held=held)
                logits = run(model, stream, batch.clean, batch.read_at)[0]
                torch.autograd.grad(DIFFERENCE(logits, batch, clean.logits).sum(), x)
            rows = sources if own else slice(None)
            expected[rows] += effects.edges[rows] / len(shares)
    expected = expected if own else expected / (1 + 2 * graph.n_layers)
    assert largest(found.edges, expected) < NEAR
    assert largest(found.neurons.sum(1), found.edges.sum(1)) < NEAR


@pytest.mark.parametrize("keep_first", [False, True])
def test_exact_effects_are_those_of_masked_passes(model, keep_first):
    batch, graph = random_batch(n_prompts=3), model.graph
    values = counterfactual(model, batch, keep_first)
    clean = CleanRun.of(model, batch, values)
    found = exact_edge_effects(model, clean, DIFFERENCE)
    sources = exact_source_effects(model, clean, DIFFERENCE)
    whole = graph.exists.double()
    edges = graph.exists.nonzero()
    without = whole.repeat(len(edges), 1, 1)
    without[torch.arange(len(edges)), edges[:, 0], edges[:, 1]] = 0
    expected = torch.zeros_like(found)
    full = DIFFERENCE(clean.logits, batch, clean.logits).sum()
    ablated = masked_logits(model, without, batch, values)
    lost = full - DIFFERENCE(ablated, batch, clean.logits).sum(-1)
    expected[edges[:, 0], edges[:, 1]] = lost
    assert largest(found, expected) < NEAR
    nodes = (1 - torch.eye(graph.n_sources).double())[..., None]
    ablated = masked_logits(model, nodes, batch, values)
    lost = full - DIFFERENCE(ablated, batch, clean.logits).sum(-1)
    assert largest(sources, lost) < NEAR


def test_attribution_is_exact_on_a_linear_model(gpt2):
    model, batch = linear(gpt2), random_batch()
    values = counterfactual(model, batch, False)
    clean = CleanRun.of(model, batch, values)
    exact = exact_edge_effects(model, clean, DIFFERENCE)
    assert float(exact.abs().max()) > 0.1
    for found in (
        effects_at_clean(model, batch, values, DIFFERENCE),
        effects_at_inputs(model, clean, clean.inputs_at([0.0, 0.5]), DIFFERENCE),
        effects_at_activations(model, clean, [0.5, 1.0], DIFFERENCE, own=True),
    ):
        assert largest(found.edges, exact) < NEAR
    # All that the metric loses when everything is ablated arrives at the logits.
    corrupted = clean_logits(model, batch.corrupted, batch.read_at)
    loss = DIFFERENCE(clean.logits, batch, clean.logits) - DIFFERENCE(corrupted, batch, corrupted)
    assert float(exact[:, -1].sum()) == pytest.approx(float(loss.sum()), abs=NEAR)
    assert float(exact[0].sum()) == pytest.approx(float(loss.sum()), abs=NEAR)


def test_grouped_queries_score_as_if_every_head_had_keys_of_its_own(models):
    model, batch = models["llama"], random_batch()
    groups = model.shape.n_heads // model.shape.n_key_value_heads
    assert groups > 1
    layers = []
    for layer in model.weights.layers:
        block = layer.attention
        spread = {n: getattr(block, n).repeat_interleave(groups, 0) for n in ("W_K", "W_V")}
        layers.append(replace(layer, attention=replace(block, **spread)))
    weights = replace(model.weights, layers=tuple(layers))
    spread = Transformer(weights, model.shape, model.dtype, model.device)
    values = counterfactual(model, batch, True)
    found, other = (effects_at_clean(m, batch, values, DIFFERENCE) for m in (model, spread))
    assert largest(found.edges, other.edges) < NEAR


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eap_ig", "eap_ig_activations", "clean_corrupted", "exact"])
def test_scores_do_not_depend_on_batches_or_padding(gpt2, name):
    asked = problem(gpt2)
    one, some, whole = (
        configured("method", name, batch_size=size).scores(asked).value for size in (1, 3, 10)
    )
    assert largest(one, whole) < NEAR and largest(some, whole) < NEAR
    assert float(whole.abs().max()) > 0.01


def test_the_loss_gap_can_be_attributed_along_a_path(gpt2):
    asked = problem(gpt2, metric=KLDivergence())
    scores = configured("method", "eap_ig").scores(asked)
    # Keeping an edge keeps the loss gap small: what matters scores above zero.
    assert float(scores.value.sum()) > 0
    reason = configured("method", "eap").unsupported(asked)
    assert "zero" in reason


@pytest.mark.parametrize("name", ["eap", "eap_ig", "exact", "eap_ig_activations"])
def test_component_circuits_are_closed_and_nested(gpt2, name):
    method = configured("method", name, granularity="component")
    sizes = [0, 20, 60, gpt2.graph.n_edges]
    found = [circuit.mask for circuit in method.discover(problem(gpt2), sizes)]
    assert [mask.size <= size for mask, size in zip(found, sizes, strict=True)] == [True] * 4
    assert found[-1].size == gpt2.graph.n_edges
    for mask, larger in pairwise(found):
        assert bool((mask.keep <= larger.keep).all())
        assert torch.equal(mask.pruned(Pruning.dead_ends).keep, mask.keep)
        nodes = {gpt2.graph.sources[u] for u in mask.keep.any(1).nonzero()[:, 0]}
        into = {edge.split("->")[1].split("<")[0] for edge in mask.edges()}
        assert into <= nodes | {"logits"}


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

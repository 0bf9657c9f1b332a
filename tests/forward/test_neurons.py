"""Neurons in the masked pass: identities, derivatives, and what does not fit."""

import pytest
import torch
from support.made.models import linear
from support.prompts import random_batch
from support.values import counterfactual, largest, random_masks, random_neurons, random_values
from transformers import AutoModelForCausalLM

from benchmark.errors import UserError
from benchmark.forward.passes import masked_logits, masked_prefix
from benchmark.forward.values import zero_values
from benchmark.graph.mask import EdgeMask
from benchmark.method.circuits import FoundCircuit, stacked_neurons
from benchmark.models.loading import load_model

EXACT, STEP = 1e-12, 1e-6


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
    # Of each mask, or of all.
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

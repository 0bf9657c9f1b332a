"""Gradients of masks and ablation values against finite differences and plain autograd."""

import pytest
import torch
import torch.nn.functional as F
from support.prompts import random_batch
from support.quick import quick_or_slow
from support.values import counterfactual, largest, random_masks, random_values

from benchmark.forward.passes import masked_logits
from benchmark.metric import KLDivergence
from benchmark.transformer.kernels import project_heads, short_attention

STEP = 1e-6


def directional(function, point, direction):
    with torch.no_grad():
        return (function(point + STEP * direction) - function(point - STEP * direction)) / 2 / STEP


@pytest.mark.parametrize("every_position", quick_or_slow([False, True], [True]))
@pytest.mark.parametrize("keep_first", [False, True])
@pytest.mark.parametrize("axes", [(1, 1, 1), (3, 1, 1), (1, 1, 8), (3, 4, 8)])
def test_masks_and_values(model, axes, keep_first, every_position):
    batch = random_batch()
    masks = random_masks(model.graph, 3).requires_grad_()
    values = random_values(model, axes, keep_first=keep_first)
    leaves = values.map(lambda x: x.clone().requires_grad_())
    logits = masked_logits(model, masks, batch, leaves, every_position=every_position)
    weight = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)).double()
    (logits * weight).sum().backward()
    assert bool((masks.grad[:, ~model.graph.exists] == 0).all())

    def loss(masks, input, heads, mlps):
        at = type(values)(input, heads, mlps, keep_first)
        return (
            masked_logits(model, masks, batch, at, every_position=every_position) * weight
        ).sum()

    points = [masks.detach(), *values.tensors]
    gradients = [masks.grad, *(leaf.grad for leaf in leaves.tensors)]
    draw = torch.Generator().manual_seed(1)
    for i, (point, gradient) in enumerate(zip(points, gradients, strict=True)):
        direction = torch.randn(point.shape, generator=draw, dtype=torch.float64)
        direction = direction * model.graph.exists if i == 0 else direction

        def along(x, i=i):
            return loss(*points[:i], x, *points[i + 1 :])

        expected = float(directional(along, point, direction))
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_every_single_mask_entry(model):
    """Not only one direction: each edge's derivative."""
    batch = random_batch(n_prompts=2, n_positions=5)
    mask = random_masks(model.graph, 1)[0]
    values = counterfactual(model, batch)
    clean = masked_logits(model, model.graph.exists.double(), batch, values).detach()

    def loss(rows):
        logits = masked_logits(model, rows, batch, values)
        return KLDivergence()(logits, batch, clean).mean(-1)

    leaf = mask.clone().requires_grad_()
    loss(leaf).backward()
    edges = model.graph.exists.nonzero()
    steps = torch.zeros(len(edges), *mask.shape, dtype=torch.float64)
    steps[torch.arange(len(edges)), edges[:, 0], edges[:, 1]] = STEP
    with torch.no_grad():
        expected = (loss(mask + steps) - loss(mask - steps)) / 2 / STEP
    assert largest(leaf.grad[edges[:, 0], edges[:, 1]], expected) < 1e-7


def test_constants_learn_only_where_the_mask_is_low(gpt2):
    batch = random_batch()
    masks = random_masks(gpt2.graph, 2)
    values = random_values(gpt2, (1, 1, 1))

    def gradients(masks, threshold):
        leaves = values.map(lambda x: x.clone().requires_grad_())
        logits = masked_logits(gpt2, masks, batch, leaves, constants_learn_below=threshold)
        logits.square().sum().backward()
        return [leaf.grad for leaf in leaves.tensors]

    masks[:, gpt2.graph.exists] = masks[:, gpt2.graph.exists].clamp(min=2e-3)
    assert all(not bool(g.any()) for g in gradients(masks, 1e-3))
    head = gpt2.graph.source_index["a0.h1"]
    masks[:, head] = 0
    _, heads, mlps = gradients(masks, 1e-3)
    assert bool(heads[0, 1].any())
    assert not bool(heads[0, 0].any() or heads[1].any() or mlps.any())
    binary = random_masks(gpt2.graph, 2, binary=True)
    pairs = zip(gradients(binary, 1e-3), gradients(binary, None), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_no_gradient_is_made_where_none_is_asked(gpt2):
    batch = random_batch()
    values = random_values(gpt2, (1, 1, 1)).map(lambda x: x.requires_grad_())
    masks = random_masks(gpt2.graph, 1)
    masked_logits(gpt2, masks, batch, values).sum().backward()
    assert masks.grad is None
    assert values.input.grad is not None
    assert not masked_logits(gpt2, masks, batch, values.detach()).requires_grad


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_short_attention_is_softmax_attention():
    q, k, v = (random(3, 2, 6, 4, seed=s).requires_grad_() for s in range(3))
    visible = torch.ones(6, 6).tril().bool()
    for seen in (visible, visible.expand(2, 6, 6)):
        ours = short_attention(q, k, v, seen, 0.3)
        theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=0.3)
        assert largest(ours, theirs) < 1e-12
        weight = random(*ours.shape, seed=9)
        for a, b in zip(
            torch.autograd.grad((ours * weight).sum(), (q, k, v)),
            torch.autograd.grad((theirs * weight).sum(), (q, k, v)),
            strict=True,
        ):
            assert largest(a, b) < 1e-12


@pytest.mark.parametrize("readers", [1, 12])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_projection_is_a_product_per_head(readers, kv_heads):
    x = random(readers, 2, 3, 5, 8).requires_grad_()
    W = [random(n, 8, 6, seed=i) for i, n in enumerate((4, kv_heads, kv_heads))]
    b = [random(4, 1, 6, seed=7), None, random(kv_heads, 1, 6, seed=8)]
    outs = project_heads(x, *zip(W, b, strict=True))
    per_part = [x] * 3 if readers == 1 else list(x.split(4))
    total, expected_total = 0, 0
    for i, (out, part) in enumerate(zip(outs, per_part, strict=True)):
        heads = len(W[i]) if readers == 1 else 4
        step = heads // len(W[i])
        inputs = part.expand(heads, -1, -1, -1, -1) if readers == 1 else part
        biases = [0.0] * len(W[i]) if b[i] is None else b[i]
        rows = [inputs[h] @ W[i][h // step] + biases[h // step] for h in range(heads)]
        assert largest(out, torch.stack(rows)) < 1e-12
        weight = random(*out.shape, seed=20 + i)
        total = total + (out * weight).sum()
        expected_total = expected_total + (torch.stack(rows) * weight).sum()
    ours, theirs = (torch.autograd.grad(t, x)[0] for t in (total, expected_total))
    assert largest(ours, theirs) < 1e-11

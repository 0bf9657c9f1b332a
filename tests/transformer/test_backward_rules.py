"""Backward rules: forward passes stay, and each rule does to gradients what its paper says."""

import pytest
import torch
from support.problems import problem
from support.prompts import random_batch
from support.values import counterfactual, largest

from benchmark.config import configured
from benchmark.effects.edges.first_order import effects_at_clean
from benchmark.forward.passes import clean_logits
from benchmark.forward.values import zero_values
from benchmark.metric import LogitDifference, OverWrong
from benchmark.transformer.backward_rules import BackwardRules, by_ratio, softmax_with_gradient_at
from benchmark.transformer.transformer import Transformer
from benchmark.transformer.weights import AttentionRule

DIFFERENCE = LogitDifference(OverWrong.mean)


def rule(through_pattern=True, temperature=1.0, query_key_share=1.0, value_share=1.0):
    return AttentionRule(through_pattern, temperature, query_key_share, value_share)


def ruled(model, freeze_norms=False, activation_by_ratio=False, gate_share=1.0, attention=None):
    rules = BackwardRules(freeze_norms, activation_by_ratio, gate_share, attention)
    return Transformer(rules.of(model.weights), model.shape, model.dtype, model.device)


ALL = dict(
    freeze_norms=True,
    activation_by_ratio=True,
    gate_share=0.5,
    attention=rule(False, 2.0, 0.25, 0.5),
)


def test_the_forward_pass_stays(model):
    batch = random_batch()
    clean = clean_logits(model, batch.clean, batch.read_at)
    assert largest(clean_logits(ruled(model, **ALL), batch.clean, batch.read_at), clean) < 1e-12


def test_rules_that_change_nothing_give_the_derivative(model):
    batch = random_batch()
    values = counterfactual(model, batch, True)
    plain, same = (
        effects_at_clean(m, batch, values, DIFFERENCE).edges
        for m in (model, ruled(model, attention=rule()))
    )
    assert largest(plain, same) < 1e-10


def test_relevance_is_conserved(models):
    """With all of RelP's rules a bias-free model is linear, so every cut adds up to the metric."""
    model, batch = models["llama"], random_batch()
    changed = ruled(
        model, freeze_norms=True, activation_by_ratio=True, gate_share=0.5, attention=rule(False)
    )
    zero = zero_values(model.shape, keep_first=False).map(torch.Tensor.double)
    effects = effects_at_clean(changed, batch, zero, DIFFERENCE)
    logits = clean_logits(model, batch.clean, batch.read_at)
    total = float(DIFFERENCE(logits, batch, logits).sum())
    assert float(effects.edges[:, -1].sum()) == pytest.approx(total, rel=1e-5)
    assert float(effects.neurons[0].sum()) == pytest.approx(total, rel=1e-5)


def test_frozen_patterns_leave_queries_and_keys_without_a_score(gpt2):
    scores = configured("method", "relp", through_patterns=False).scores(problem(gpt2)).value
    stage = gpt2.graph.qkv_stage(1)
    assert bool((scores[:, stage.start : stage.start + 8] == 0).all())
    assert bool((scores[:6, stage.start + 8 : stage.stop] != 0).all())


def test_shares_of_products(gpt2):
    """Into the last layer's heads nothing else is between: queries and keys 1/4, values 1/2."""
    batch = random_batch()
    values = counterfactual(gpt2, batch, True)
    shared = ruled(gpt2, attention=rule(query_key_share=0.25, value_share=0.5))
    plain, found = (effects_at_clean(m, batch, values, DIFFERENCE).edges for m in (gpt2, shared))
    stage = gpt2.graph.qkv_stage(gpt2.graph.n_layers - 1)
    q_k, v = slice(stage.start, stage.start + 8), slice(stage.start + 8, stage.stop)
    assert largest(found[:, q_k], plain[:, q_k] / 4) < 1e-12
    assert largest(found[:, v], plain[:, v] / 2) < 1e-12


def test_gated_mlps_get_half(models):
    """In a gated model without attention's share the edges into the last MLP are halved."""
    model, batch = models["llama"], random_batch()
    values = counterfactual(model, batch, True)
    halved = ruled(model, gate_share=0.5)
    plain, found = (effects_at_clean(m, batch, values, DIFFERENCE).edges for m in (model, halved))
    into = model.graph.mlp_stage(model.graph.n_layers - 1).start
    assert largest(found[:, into], plain[:, into] / 2) < 1e-12


@pytest.mark.parametrize("temperature", [0.5, 2.0, 10.0])
def test_softmax_at_another_temperature(temperature):
    scores = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 5, dtype=torch.float64)
    out = softmax_with_gradient_at(scores, temperature)
    assert largest(out, scores.softmax(-1)) == 0
    (out * weight).sum().backward()
    softer = (scores.detach() / temperature).requires_grad_()
    (softer.softmax(-1) * weight).sum().backward()
    assert largest(scores.grad, softer.grad) < 1e-12


def test_slopes_by_ratio():
    x = torch.tensor([-2.0, -0.1, 0.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    silu = by_ratio(torch.nn.functional.silu)
    silu(x).sum().backward()
    # The paper moves the argument away from zero before dividing, so at zero the slope is zero.
    assert largest(x.grad, torch.sigmoid(x.detach()) * (x != 0)) < 1e-5


def test_norms_of_every_kind_are_frozen(model):
    """Doubling the stream doubles a frozen norm's output, to first order."""
    norm = ruled(model, freeze_norms=True).weights.final_norm
    x = torch.randn(4, model.shape.d_model, dtype=torch.float64, requires_grad=True)
    out = norm(x)
    bias = 0 if norm.bias is None else norm.bias
    weight = torch.randn_like(out)
    (out * weight).sum().backward()
    assert largest((x.grad * x).sum(), ((out - bias) * weight).sum()) < 1e-10


@pytest.mark.parametrize("name", ["relp", "gim"])
def test_rules_work_along_the_path_of_eap_ig(gpt2, name):
    asked = problem(gpt2)
    at_clean = configured("method", name).scores(asked).value
    along = configured("method", name, steps=4).scores(asked).value
    assert largest(at_clean, along) > 1e-3
    plain = configured("method", "eap").scores(asked).value
    assert largest(at_clean, plain) > 1e-3


def test_gim_without_modifications_is_eap(gpt2):
    asked = problem(gpt2)
    nothing = dict(temperature=1.0, freeze_norms=False, share_products=False)
    found = configured("method", "gim", **nothing).scores(asked).value
    assert largest(found, configured("method", "eap").scores(asked).value) < 1e-10
    with pytest.raises(Exception, match="temperature"):
        configured("method", "gim", temperature=0.0)

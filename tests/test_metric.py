import math
from dataclasses import replace

import pytest
import torch
from support.prompts import random_batch

from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.metric import (
    Accuracy,
    CrossEntropy,
    ExactMatch,
    KLDivergence,
    LogitDifference,
    Metric,
    OverWrong,
    ProbabilityDifference,
)
from benchmark.prompts.batch import Batch
from benchmark.seeds import generator


@pytest.fixture
def batch():
    tokens = torch.zeros(2, 3, dtype=torch.long)
    return Batch(
        clean=tokens,
        corrupted=tokens,
        lengths=torch.tensor([3, 3]),
        read_at=torch.tensor([2, 2]),
        answers=torch.tensor([[0, -1], [1, 2]]),
        wrong=torch.tensor([[1, 2], [3, -1]]),
        ids=("a", "b"),
    )


LOGITS = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 1.0, 2.0, 5.0]], dtype=torch.float64)
CLEAN = torch.tensor([[1.0, 1.0, 1.0, 1.0], [4.0, 0.0, 0.0, 6.0]], dtype=torch.float64)


def softmax(row):
    total = sum(math.exp(x) for x in row)
    return [math.exp(x) / total for x in row]


def test_values_by_hand(batch):
    p, q = ([softmax(row) for row in x.tolist()] for x in (CLEAN, LOGITS))
    rows = zip(p, q, strict=True)
    kl = [sum(a * math.log(a / b) for a, b in zip(*row, strict=True)) for row in rows]
    cases = [
        (KLDivergence(), kl),
        (LogitDifference(OverWrong.mean), [3 - 1.5, 1.5 - 5]),
        (LogitDifference(OverWrong.max), [3 - 2, 1.5 - 5]),
        (ProbabilityDifference(), [q[0][0] - q[0][1] - q[0][2], q[1][1] + q[1][2] - q[1][3]]),
        (Accuracy(), [1.0, 0.0]),
        (ExactMatch(), [1.0, 1.0]),
        (CrossEntropy(), [-math.log(q[0][0]), -math.log(q[1][1] + q[1][2])]),
    ]
    for metric, expected in cases:
        got = metric(LOGITS, batch, CLEAN)
        assert got.tolist() == pytest.approx(expected), metric


@pytest.mark.parametrize("name", configured_names("metric"))
def test_metrics_take_many_masks_and_are_per_prompt(batch, name):
    metric = configured("metric", name)
    assert isinstance(metric, Metric)
    assert metric.unit
    rows = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0)).double()
    together = metric(rows, batch, CLEAN)
    assert together.shape == (3, 2)
    for row, got in zip(rows, together, strict=True):
        assert torch.allclose(metric(row, batch, CLEAN), got)


def test_kl_is_zero_only_at_the_full_model_and_ignores_a_shift(batch):
    metric = KLDivergence()
    assert metric(CLEAN + 7, batch, CLEAN).abs().max() < 1e-12
    assert bool((metric(LOGITS, batch, CLEAN) > 0).all())


SMOOTH = ["kl", "logit_difference", "probability_difference", "cross_entropy"]


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_metrics_have_exact_gradients(batch, name):
    metric = configured("metric", name)
    assert torch.autograd.gradcheck(
        lambda x: metric(x, batch, CLEAN), LOGITS.clone().requires_grad_()
    )


def test_prompts_without_answers_are_refused(batch):
    bare = replace(batch, wrong=torch.full((2, 1), -1))
    for metric in (LogitDifference(OverWrong.max), ProbabilityDifference()):
        with pytest.raises(UserError, match="needs right and wrong answers"):
            metric(LOGITS, bare, CLEAN)
    assert CrossEntropy()(LOGITS, bare, CLEAN).isfinite().all()


@pytest.mark.parametrize("name", configured_names("metric"))
def test_metrics_know_their_gradient(name):
    """Whether they have one, and whether it is zero where nothing is ablated."""
    metric, batch = configured("metric", name), random_batch()
    clean = torch.randn(len(batch), 50, dtype=torch.float64, generator=generator(0, name))
    logits = clean.clone().requires_grad_()
    value = metric(logits, batch, clean).sum()
    assert value.requires_grad is metric.differentiable
    if metric.differentiable:
        (gradient,) = torch.autograd.grad(value, logits)
        assert bool(gradient.abs().max() < 1e-12) is metric.flat_at_clean

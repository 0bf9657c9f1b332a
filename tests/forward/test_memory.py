"""One budget of memory, which passes obey without changing a number."""

import pytest
import torch
from support.memory import LiveBytes
from support.problems import problem
from support.prompts import random_batch
from support.values import counterfactual, largest, random_masks

from benchmark.config import configured
from benchmark.effects.edges.first_order import effects_at_clean
from benchmark.errors import UserError
from benchmark.forward import memory
from benchmark.method.problem import Problem
from benchmark.metric import LogitDifference, OverWrong
from methods.circuits.masks import training

METRIC = LogitDifference(OverWrong.mean)


def test_the_budget_is_what_the_variable_says(gpt2, monkeypatch):
    before = memory.rows_that_fit(gpt2, 1, 8)
    monkeypatch.setenv(memory.VARIABLE, "8")
    assert before < memory.rows_that_fit(gpt2, 1, 8) <= 2 * before + 1
    for wrong in ("0", "-1", "much", "inf", "nan"):
        monkeypatch.setenv(memory.VARIABLE, wrong)
        with pytest.raises(UserError, match=f"{memory.VARIABLE}='{wrong}' must be a number of GB"):
            memory.most_bytes()


@pytest.mark.parametrize("family", ["gpt2", "llama", "olmo2"])
@pytest.mark.parametrize("n_positions", [6, 24])
def test_attribution_takes_what_its_arithmetic_says(models, monkeypatch, family, n_positions):
    """The measured peak beside the arithmetic, for as many prompts as it allows."""
    model = models[family]
    monkeypatch.setattr(memory, "MOST_BYTES", 8e6)
    n_prompts = memory.attribution_prompts_that_fit(model, n_positions)
    batch = random_batch(n_prompts=n_prompts, n_positions=n_positions, same_length=True)
    with LiveBytes() as live:
        effects_at_clean(model, batch, counterfactual(model, batch), METRIC)
    assert n_prompts > 4
    assert 0.4 * 8e6 < live.peak < 1.1 * 8e6


@pytest.mark.parametrize("name", ["eap", "eap_ig", "edge_atp", "relp"])
def test_scores_do_not_depend_on_the_budget(gpt2, monkeypatch, name):
    method, asked = configured("method", name), problem(gpt2)
    whole = method.scores(asked).value
    monkeypatch.setattr(memory, "MOST_BYTES", 5e5)
    assert 1 < len(asked.in_attribution_batches(method.batch_size)) < 10
    assert largest(method.scores(asked).value, whole) < 1e-12


def test_batches_with_donors_are_not_divided(gpt2, monkeypatch):
    asked = problem(gpt2, "resample")
    monkeypatch.setattr(memory, "MOST_BYTES", 1.0)
    assert [len(batch) for batch in asked.in_attribution_batches(32)] == [10]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ugs", "hcgs", "subnetwork_probing_edges"])
def test_prices_that_do_not_fit_together_give_the_same_circuits(planted, monkeypatch, name):
    given = dict(prices=[0.003, 0.03, 0.1], steps=6, masks_per_step=4)
    method, groups = configured("method", name, **given), []
    asked = Problem.of(planted, random_batch(d_vocab=20, n_prompts=12), seed=3)
    together = method.discover(asked, [])

    def noted(values, at_once):
        groups.append(at_once)
        return in_groups(values, at_once)

    in_groups = training.in_groups
    monkeypatch.setattr(training, "in_groups", noted)
    monkeypatch.setattr(memory, "MOST_BYTES", 1.0)
    alone = method.discover(asked, [])
    assert groups == [1]
    for a, b in zip(together, alone, strict=True):
        assert a.setting == b.setting and torch.equal(a.mask.keep, b.mask.keep)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_step_of_constants_takes_what_its_arithmetic_says(models, monkeypatch, family):
    model = models[family]
    monkeypatch.setattr(memory, "MOST_BYTES", 8e6)
    n_prompts = memory.training_prompts_that_fit(model, 2, 24)
    batch = random_batch(n_prompts=3 * n_prompts, n_positions=24, same_length=True)
    optimal = configured("ablation", "optimal", steps=1, batch_size=len(batch))
    masks = random_masks(model.graph, 2)
    with LiveBytes() as live:
        optimal.train(model, masks, [batch])
    assert n_prompts > 4
    assert 0.4 * 8e6 < live.peak < 1.1 * 8e6


def test_constants_do_not_depend_on_the_budget(gpt2, monkeypatch):
    optimal = configured("ablation", "optimal", steps=3, batch_size=8)
    masks, batch = random_masks(gpt2.graph, 2), random_batch(n_prompts=10)
    whole = optimal.train(gpt2, masks, [batch])
    monkeypatch.setattr(memory, "MOST_BYTES", 2e5)
    assert memory.training_prompts_that_fit(gpt2, 2, batch.n_positions) in range(1, 8)
    parts = optimal.train(gpt2, masks, [batch])
    assert largest(parts.losses, whole.losses) < 1e-12
    assert all(
        largest(a, b) < 1e-9
        for a, b in zip(parts.values.tensors, whole.values.tensors, strict=True)
    )

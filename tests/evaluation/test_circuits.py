"""Evaluation: exact identities, and independence of company."""

import pytest
import torch
from support.made.held_out import METRICS, circuits, held_out
from support.prompts import random_batch
from support.values import largest, random_neurons

from benchmark.ablations.other_prompts import Counterfactual
from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.evaluation import circuits as evaluate
from benchmark.evaluation.circuits import circuit_scores, full_model_scores, passes
from benchmark.forward.passes import clean_logits
from benchmark.graph.mask import EdgeMask, stack
from benchmark.metric import KLDivergence


def test_the_ends_of_every_curve(gpt2):
    """No edge under counterfactual ablation is the corrupted run; all edges are the model."""
    data = held_out()
    masks = [EdgeMask.empty(gpt2.graph), EdgeMask.full(gpt2.graph)]
    scores = circuit_scores(gpt2, masks, Counterfactual(keep_first=False), data)
    ablated, whole = scores.circuits, full_model_scores(gpt2, data)
    gaps = []
    for batch in data.test:
        clean, corrupted = (
            clean_logits(gpt2, tokens, batch.read_at) for tokens in (batch.clean, batch.corrupted)
        )
        gaps.append(KLDivergence()(corrupted, batch, clean))
    assert largest(scores.empty["loss_gap"], torch.cat(gaps)) < 1e-12
    assert float(ablated["loss_gap"][1].abs().max()) < 1e-12
    for name in METRICS:
        assert largest(ablated[name][0], scores.empty[name]) < 1e-12
        assert largest(ablated[name][1], scores.full[name]) < 1e-12
        assert torch.equal(scores.full[name], whole[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["counterfactual", "resample", "gaussian", "mean", "optimal"])
def test_a_circuit_scores_the_same_in_any_company(gpt2, name, monkeypatch):
    changes = dict(steps=5, batch_size=4) if name == "optimal" else {}
    ablation, data = configured("ablation", name, **changes), held_out()
    masks = circuits(gpt2.graph, 5)
    together = circuit_scores(gpt2, masks, ablation, data).circuits["loss_gap"]
    alone = [circuit_scores(gpt2, [mask], ablation, data).circuits["loss_gap"][0] for mask in masks]
    assert largest(together, torch.stack(alone)) < 1e-9
    monkeypatch.setattr("benchmark.forward.memory.MOST_BYTES", 1.0)
    assert (
        largest(circuit_scores(gpt2, masks, ablation, data).circuits["loss_gap"], together) < 1e-9
    )


def test_every_circuit_gets_constants_of_its_own(gpt2):
    optimal, data = configured("ablation", "optimal", steps=8, batch_size=8), held_out()
    masks = circuits(gpt2.graph, 2)
    scores = circuit_scores(gpt2, masks, optimal, data).circuits["loss_gap"]
    for mask, found in zip(masks, scores, strict=True):
        constants = optimal.train(gpt2, mask, data.fit)
        wanted = [
            KLDivergence()(
                evaluate.masked_logits(gpt2, mask, batch, constants(batch)),
                batch,
                clean_logits(gpt2, batch.clean, batch.read_at),
            )
            for batch in data.test
        ]
        assert largest(found, torch.cat(wanted)) < 1e-9


def test_training_of_constants_resumes(gpt2, tmp_path):
    optimal, data = configured("ablation", "optimal", steps=4, batch_size=4), held_out()
    masks = circuits(gpt2.graph, 2)
    path = tmp_path / "constants"
    first = circuit_scores(gpt2, masks, optimal, data, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["constants.0"]
    assert torch.equal(
        circuit_scores(gpt2, masks, optimal, data, path).circuits["loss_gap"],
        first.circuits["loss_gap"],
    )


@pytest.mark.parametrize(("n", "sizes"), [(2, [2]), (32, [32]), (33, [33]), (65, [32, 33])])
def test_no_pass_has_a_single_prompt(n, sizes):
    assert [len(part) for part in passes(random_batch(n_prompts=n))] == sizes


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
    expected = circuit_scores(gpt2, closed, ablation, data).circuits["loss_gap"]
    path = tmp_path / "constants"
    found = circuit_scores(gpt2, masks, ablation, data, path, neurons).circuits["loss_gap"]
    assert largest(found, expected) < 1e-9
    if name == "optimal":
        with pytest.raises(UserError, match="made with another model"):
            ablation.train(
                gpt2,
                stack(masks),
                data.fit,
                neurons=1 - neurons,
                checkpoint=next(tmp_path.iterdir()),
            )

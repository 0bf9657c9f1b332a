"""Evaluation: exact identities, independence of company, and the rows of a curve."""

import pytest
import torch
from support.held_out import METRICS, circuits, held_out
from support.prompts import random_batch
from support.values import largest

from benchmark.ablations.other_prompts import Counterfactual
from benchmark.config import configured
from benchmark.evaluation import circuits as evaluate
from benchmark.evaluation.circuits import circuit_scores, full_model_scores, passes
from benchmark.evaluation.curve import areas, aurocs, curve_rows, ends, recovery
from benchmark.forward.passes import clean_logits
from benchmark.graph.mask import EdgeMask
from benchmark.method.circuits import FoundCircuit
from benchmark.metric import KLDivergence


def test_the_ends_of_every_curve(gpt2):
    """No edge under counterfactual ablation is the corrupted run; all edges are the model."""
    data = held_out()
    masks = [EdgeMask.empty(gpt2.graph), EdgeMask.full(gpt2.graph)]
    scores = circuit_scores(gpt2, masks, Counterfactual(keep_first=False), data)
    full = full_model_scores(gpt2, data)
    gaps = []
    for batch in data.test:
        clean, corrupted = (
            clean_logits(gpt2, tokens, batch.read_at) for tokens in (batch.clean, batch.corrupted)
        )
        gaps.append(KLDivergence()(corrupted, batch, clean))
    assert largest(scores["loss_gap"][0], torch.cat(gaps)) < 1e-12
    assert float(scores["loss_gap"][1].abs().max()) < 1e-12
    for name in METRICS:
        assert largest(scores[name][1], full[name]) < 1e-12


@pytest.mark.parametrize("name", ["counterfactual", "resample", "gaussian", "mean", "optimal"])
def test_a_circuit_scores_the_same_in_any_company(gpt2, name, monkeypatch):
    changes = dict(steps=5, batch_size=4) if name == "optimal" else {}
    ablation, data = configured("ablation", name, **changes), held_out()
    masks = circuits(gpt2.graph, 5)
    together = circuit_scores(gpt2, masks, ablation, data)["loss_gap"]
    alone = [circuit_scores(gpt2, [mask], ablation, data)["loss_gap"][0] for mask in masks]
    assert largest(together, torch.stack(alone)) < 1e-9
    monkeypatch.setattr("benchmark.forward.memory.MOST_BYTES", 1.0)
    assert largest(circuit_scores(gpt2, masks, ablation, data)["loss_gap"], together) < 1e-9


def test_every_circuit_gets_constants_of_its_own(gpt2):
    optimal, data = configured("ablation", "optimal", steps=8, batch_size=8), held_out()
    masks = circuits(gpt2.graph, 2)
    scores = circuit_scores(gpt2, masks, optimal, data)["loss_gap"]
    for mask, found in zip(masks, scores, strict=True):
        constants = optimal.train(gpt2, mask, data.train)
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
        circuit_scores(gpt2, masks, optimal, data, path)["loss_gap"], first["loss_gap"]
    )


@pytest.mark.parametrize(("n", "sizes"), [(2, [2]), (32, [32]), (33, [33]), (65, [32, 33])])
def test_no_pass_has_a_single_prompt(n, sizes):
    assert [len(part) for part in passes(random_batch(n_prompts=n))] == sizes


def test_rows_of_a_curve(gpt2):
    data, ablation = held_out(), Counterfactual(keep_first=False)
    found = [FoundCircuit(mask, f"number {i}") for i, mask in enumerate(circuits(gpt2.graph))]
    found.append(FoundCircuit(EdgeMask.full(gpt2.graph), "all", gpt2.graph.n_edges))
    masks = [EdgeMask.empty(gpt2.graph), *(circuit.mask for circuit in found)]
    scores, full = circuit_scores(gpt2, masks, ablation, data), full_model_scores(gpt2, data)
    rows = curve_rows(found, "counterfactual", scores, full)
    assert list(rows["setting"]) == ["number 0", "number 1", "number 2", "all"]
    assert list(rows["requested_size"].isna()) == [True, True, True, False]
    assert (rows["loss_gap_low"] <= rows["loss_gap"]).all()
    assert (rows["loss_gap"] <= rows["loss_gap_high"]).all()
    assert (rows["loss_gap_low"][:3] < rows["loss_gap_high"][:3]).all()
    assert rows["faithfulness"].iloc[3] == pytest.approx(1)
    empty, whole = scores["logit_difference"][0].mean(), full["logit_difference"].mean()
    wanted = (scores["logit_difference"][1].mean() - empty) / (whole - empty)
    assert rows["faithfulness"].iloc[0] == pytest.approx(float(wanted))
    again = curve_rows(found, "counterfactual", scores, full)
    assert rows.equals(again)
    known = ends(scores, full)
    assert known["empty"]["loss_gap"] == pytest.approx(float(scores["loss_gap"][0].mean()))
    assert set(areas(rows, known, gpt2.graph.n_edges)) == {"cpr", "cmd", "log_area"}


def test_agreement_with_a_reference(gpt2):
    reference, other = circuits(gpt2.graph, 2)
    found = [FoundCircuit(reference, "itself"), FoundCircuit(other, "another")]
    table = recovery(found, reference)
    assert table.iloc[0][["edge_precision", "edge_recall", "component_recall"]].tolist() == [
        1,
        1,
        1,
    ]
    assert table.iloc[0]["edge_false_positive_rate"] == 0
    assert table.iloc[1]["edge_recall"] < 1
    assert aurocs(found[:1], reference)["auroc_edges"] == 1
    assert aurocs(found[:1], reference)["auroc_edges_pessimistic"] == 1
    assert aurocs(found[1:], reference)["auroc_edges"] < 0.8

"""The rows of a curve, and agreement of circuits with a reference."""

import pytest
import torch
from support.made.held_out import circuits, held_out

from benchmark.ablations.other_prompts import Counterfactual
from benchmark.evaluation.circuits import circuit_scores
from benchmark.evaluation.curve import areas, aurocs, curve_rows, ends, recovery
from benchmark.graph.mask import EdgeMask
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import FoundCircuits
from benchmark.statistics.sizes import edges_needed


def test_rows_of_a_curve(gpt2):
    data, ablation = held_out(), Counterfactual(keep_first=False)
    found = [FoundCircuit(mask, f"number {i}") for i, mask in enumerate(circuits(gpt2.graph))]
    found.append(FoundCircuit(EdgeMask.full(gpt2.graph), "all", gpt2.graph.n_edges))
    scores = circuit_scores(gpt2, [circuit.mask for circuit in found], ablation, data)
    rows = curve_rows(found, "counterfactual", scores)
    assert list(rows["setting"]) == ["number 0", "number 1", "number 2", "all"]
    assert list(rows["requested_size"].isna()) == [True, True, True, False]
    assert (rows["loss_gap_low"] <= rows["loss_gap"]).all()
    assert (rows["loss_gap"] <= rows["loss_gap_high"]).all()
    assert (rows["loss_gap_low"][:3] < rows["loss_gap_high"][:3]).all()
    assert rows["faithfulness"].iloc[3] == pytest.approx(1)
    empty, whole = (end["logit_difference"].mean() for end in (scores.empty, scores.full))
    wanted = (scores.circuits["logit_difference"][0].mean() - empty) / (whole - empty)
    assert rows["faithfulness"].iloc[0] == pytest.approx(float(wanted))
    again = curve_rows(found, "counterfactual", scores)
    assert rows.equals(again)
    known = ends(scores)
    assert known["empty"]["loss_gap"] == pytest.approx(float(scores.empty["loss_gap"].mean()))
    found = areas(rows, known, gpt2.graph.n_edges, scores)
    assert found["cpr_low"] < found["cpr"] < found["cpr_high"]
    assert found["cmd_low"] < found["cmd"] < found["cmd_high"]
    assert set(found) == {
        "cpr", "cmd", "cpr_low", "cpr_high", "cmd_low", "cmd_high", "log_area",
    }  # fmt: skip


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


def test_recovery_counts_edges_with_any_neuron(gpt2):
    reference = circuits(gpt2.graph, 1)[0]
    neurons = torch.zeros(gpt2.graph.n_sources, gpt2.shape.d_model)
    neurons[:, 0] = 1
    found = [FoundCircuit(reference, "itself", neurons=neurons)]
    assert recovery(found, reference).iloc[0][["edge_precision", "edge_recall"]].tolist() == [1, 1]
    assert aurocs(found, reference)["auroc_edges"] == 1
    assert found[0].size == pytest.approx(reference.size / gpt2.shape.d_model)


def test_edges_at_a_loss_gap_are_those_of_the_first_circuit_that_loses_no_more(gpt2):
    """Circuit by circuit, from the smallest on, until one is as near the whole model."""
    data, ablation = held_out(), Counterfactual(keep_first=False)
    ranked = EdgeScores(gpt2.graph, torch.rand(gpt2.graph.exists.shape), signed=True)
    found = FoundCircuits.of_scores(ranked, range(5, gpt2.graph.n_edges, 15))
    scores = circuit_scores(gpt2, [one.mask for one in found], ablation, data)
    rows = curve_rows(found, "counterfactual", scores)
    gaps = [float(gap) for gap in scores.circuits["loss_gap"].double().mean(1)]
    for level in (0.5 * (min(gaps) + max(gaps)), min(gaps) / 2):
        by_hand = gpt2.graph.n_edges
        for one, gap in zip(found, gaps, strict=True):
            if gap <= level:
                by_hand = one.size
                break
        value, low, high = edges_needed(rows, level, gpt2.graph.n_edges)
        assert value == by_hand and low <= value <= high

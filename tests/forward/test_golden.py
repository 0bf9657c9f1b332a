"""Parity with the outputs of an independent implementation (golden/README.md)."""

import json
from dataclasses import replace

import pytest
import torch
from support.paths import GOLDEN
from support.values import largest

from benchmark.ablations.fixed import Mean
from benchmark.ablations.other_prompts import Counterfactual
from benchmark.config import configured
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.forward.values import zero_values
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.method.problem import Problem
from benchmark.metric import KLDivergence, LogitDifference, OverWrong
from benchmark.models.loading import load_model
from benchmark.prompts.batch import Batch

DIFFERENCE = LogitDifference(OverWrong.mean)


def read(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


@pytest.fixture(scope="module")
def golden_model():
    return load_model(GOLDEN / "model", dtype="float64")


@pytest.fixture(scope="module")
def batch():
    data = read("data")
    clean, corrupted = torch.tensor(data["clean"]), torch.tensor(data["corrupted"])
    lengths = torch.full((len(clean),), clean.shape[1])
    answers, wrong = (torch.tensor(data[name]).view(-1, 1) for name in ("answer", "wrong"))
    ids = tuple(str(i) for i in range(len(clean)))
    return Batch(clean, corrupted, lengths, lengths - 1, answers, wrong, ids)


def test_clean_and_corrupted_logits(golden_model, batch):
    baseline = read("baseline")
    clean = clean_logits(golden_model, batch.clean, batch.read_at)
    corrupted = clean_logits(golden_model, batch.corrupted, batch.read_at)
    assert largest(clean, tensor(baseline["clean_last_logits"])) < 1e-12
    assert largest(corrupted, tensor(baseline["corrupted_last_logits"])) < 1e-12
    of_clean = DIFFERENCE(clean, batch, clean)
    assert largest(of_clean, tensor(baseline["metric_clean_per_example"])) < 1e-12
    gap = KLDivergence()(corrupted, batch, clean).mean()
    assert float(gap) == pytest.approx(baseline["kl_clean_corrupted"], rel=1e-10)


@pytest.mark.parametrize("share", ["0.1", "0.3", "0.6"])
def test_circuits_under_counterfactual_ablation(golden_model, batch, share):
    circuit = read("circuits_evaluate_graph")["circuits"][share]
    mask = EdgeMask.of_edges(golden_model.graph, circuit["edges_topn"])
    pruned = mask.pruned(Pruning.dangling)
    assert set(pruned.edges()) == set(circuit["edges_after_prune"])
    values = Counterfactual(keep_first=False).fit(golden_model, [batch])(batch)
    clean = clean_logits(golden_model, batch.clean, batch.read_at)
    for either in (mask, pruned):
        logits = masked_logits(golden_model, either, batch, values)
        assert largest(logits, tensor(circuit["last_logits"])) < 1e-12
        per_prompt = DIFFERENCE(logits, batch, clean)
        assert largest(per_prompt, tensor(circuit["metric_per_example"])) < 1e-12
        gap = float(KLDivergence()(logits, batch, clean).mean())
        assert gap == pytest.approx(circuit["kl_clean_circuit_mean"], rel=1e-10)


@pytest.mark.parametrize("share", ["0.1", "0.3", "0.6"])
@pytest.mark.parametrize("name", ["zero", "mean-positional"])
def test_circuits_under_zero_and_mean_ablation(golden_model, batch, share, name):
    circuit = read("circuits_evaluate_graph")["circuits"][share]
    mask = EdgeMask.of_edges(golden_model.graph, circuit["edges_after_prune"])
    if name == "zero":
        values = zero_values(golden_model.shape, keep_first=False).map(torch.Tensor.double)
    else:
        mean = Mean(keep_first=False, positional=True, counterfactual=True)
        values = mean.fit(golden_model, [batch])(batch)
    logits = masked_logits(golden_model, mask, batch, with_positions_kept(values, golden_model))
    per_prompt = DIFFERENCE(logits, batch, logits)
    assert largest(per_prompt, tensor(circuit[f"metric_per_example_{name}"])) < 1e-12


def with_positions_kept(values, model):
    """The same values with position embeddings passing, as in the graph of that library."""
    if values.axes[2] > 1:  # A mean per position holds its position's embedding already.
        return values
    W_pos = model.hugging_face.transformer.wpe.weight[:10]
    spread = values.map(lambda x: x.expand(*x.shape[:-2], 10, -1))
    return replace(spread, input=spread.input + W_pos)


def problem(model, batches):
    return Problem(
        model=model,
        batches=batches,
        metric=DIFFERENCE,
        ablation=Counterfactual(keep_first=False),
        references={},
        seed=0,
        training_steps=None,
        work_folder=None,
    )


SCORES = {
    "eap": "EAP",
    "eap_ig": "EAP-IG-inputs-5",
    "eap_ig_activations": "EAP-IG-activations-5",
    "clean_corrupted": "clean-corrupted",
    "exact": "exact",
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("batch_size", [8, 3, 1])
def test_scores_whatever_the_batches(golden_model, batch, name, batch_size):
    """Theirs is the change of the metric when an edge is corrupted; ours is what keeping adds."""
    method = configured("method", name, batch_size=batch_size)
    found = method.scores(problem(golden_model, [batch])).value
    graph, golden = golden_model.graph, read(f"scores_{SCORES[name]}")
    for edge, effect in golden["scores_mean_effect"].items():
        assert float(found[graph.edge(edge)]) == pytest.approx(-effect, rel=1e-5, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [1, 8])
def test_acdc_decides_as_its_authors_code(golden_model, batch, ahead):
    runs = read("acdc")["runs"]
    thresholds = [float(tau) for tau in runs]
    settings = dict(last_head_first=True, candidates_at_once=ahead)
    acdc = configured("method", "acdc", thresholds=thresholds, **settings)
    asked = problem(golden_model, [batch])
    search = acdc.search(asked)
    found = search.run()
    values = asked.replacement(batch)
    clean = clean_logits(golden_model, batch.clean, batch.read_at)
    for name, run in runs.items():
        circuit = EdgeMask(golden_model.graph, found[float(name)])
        assert set(circuit.edges()) == set(run["kept_residual_edges"])
        logits = masked_logits(golden_model, circuit, batch, values)
        gap = float(KLDivergence()(logits, batch, clean).mean())
        assert gap == pytest.approx(run["final_kl"], rel=1e-9)
    alone = configured("method", "acdc", thresholds=thresholds[:1], **settings).search(asked)
    alone.run()
    assert alone.tested == runs[next(iter(runs))]["n_forward_tested"]


def test_eap_circuits_are_the_largest_scores(golden_model, batch):
    asked = problem(golden_model, [batch])
    effects = read("scores_EAP")["scores_mean_effect"]
    best = sorted(effects, key=lambda name: -abs(effects[name]))
    for circuit in configured("method", "eap").discover(asked, [0, 1, 11, 110]):
        assert set(circuit.mask.edges()) == set(best[: circuit.requested_size])
    signed = configured("method", "eap", absolute=False).discover(asked, [11])[0]
    best = sorted(effects, key=lambda name: effects[name])
    assert set(signed.mask.edges()) == set(best[:11])

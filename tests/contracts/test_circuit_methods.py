"""What every method that finds circuits must keep, on two families of models."""

import pytest
import torch
from support.options import class_of
from support.problems import problem
from support.prompts import random_batch
from support.quick import quick_or_slow

from benchmark.config import configured, configured_names
from benchmark.graph.mask import EdgeMask
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import CircuitMethod
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from benchmark.mib.files import MibCircuit, write_mib

QUICK = {
    "ugs": dict(steps=2, masks_per_step=2),
    "hcgs": dict(steps=2, masks_per_step=2),
    "subnetwork_probing": dict(steps=2),
    "subnetwork_probing_edges": dict(steps=2),
    "edge_pruning": dict(steps=2),
    "hap": dict(steps=2),
    "acdc": dict(thresholds=[0.001, 0.1]),
}


# Their classes say why.
UNRANKED = {"random", "reference"}
# It needs the words of a task, which models of random weights do not know.
OF_A_TASK = {"transferred"}
CIRCUIT_METHODS = [
    name
    for name in configured_names("method")
    if name not in OF_A_TASK and not hasattr(class_of("method", name), "study")
]


def checked_circuits(method, asked, sizes, *, ranks):
    assert isinstance(method, CircuitMethod) and method.version >= 1
    assert method.unsupported(asked) is None
    found = method.discover(asked, sizes)
    assert found
    ranked = isinstance(found, FoundCircuits) and bool(found.scores)
    assert ranked == ranks
    for circuit in found:
        assert circuit.mask.graph == asked.graph and circuit.setting
        assert circuit.requested_size in (None, *sizes)
        assert circuit.requested_size is None or circuit.mask.size <= circuit.requested_size
        assert bool(((circuit.mask.keep == 0) | (circuit.mask.keep == 1)).all())
    return found


def with_files(model, folder, quick):
    scores = EdgeScores(model.graph, torch.randn(model.graph.exists.shape), signed=True)
    write_mib(folder / "a.json", MibCircuit(scores), model.shape.d_model)
    return quick | {
        "imported": dict(path=f"{folder}/a.json"),
        "ensemble": dict(paths=[f"{folder}/a.json"] * 2),
        "stable": dict(subsamples=2),
    }


@pytest.mark.parametrize("name", CIRCUIT_METHODS)
@pytest.mark.parametrize("family", quick_or_slow(["gpt2", "llama"], ["gpt2"]))
def test_every_method_keeps_the_contract(models, family, name, tmp_path):
    model = models[family]
    method = configured("method", name, **with_files(model, tmp_path, QUICK).get(name, {}))
    asked = problem(model, references={"known": EdgeMask.full(model.graph)})
    sizes = [10, model.graph.n_edges]
    found = checked_circuits(method, asked, sizes, ranks=name not in UNRANKED)
    again = method.discover(asked, sizes)
    assert all(torch.equal(a.mask.keep, b.mask.keep) for a, b in zip(found, again, strict=True))


# As little as a method can do: exact patching of 123,211 edges would take hours, of 301 components
# seconds, and at a threshold that nothing exceeds ACDC is done with the readers of the logits.
LEAST = {
    **{name: settings | {"steps": 1} for name, settings in QUICK.items() if "steps" in settings},
    "acdc": dict(thresholds=[1e9]),
    "exact": dict(granularity="component"),
    "eap_ig_activations": dict(steps=1),
    "eap_ig_activations_own": dict(steps=1),
    "eap_gp": dict(steps=1),
}


@pytest.mark.slow
@pytest.mark.pretrained
@pytest.mark.parametrize("name", CIRCUIT_METHODS)
def test_every_method_runs_on_a_real_model(pretrained, name, tmp_path):
    d_vocab = pretrained.shape.d_vocab
    pairs = random_batch(d_vocab=d_vocab, n_prompts=2, n_positions=5, same_length=True)
    method = configured("method", name, **with_files(pretrained, tmp_path, LEAST).get(name, {}))
    known = {"known": EdgeMask.full(pretrained.graph)}
    asked = Problem.of(pretrained, pairs, references=known)
    # Effects of components rank no edges.
    ranks = name not in UNRANKED | {"exact"}
    checked_circuits(method, asked, [1_000, 10_000], ranks=ranks)

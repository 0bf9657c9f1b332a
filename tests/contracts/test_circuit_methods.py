"""What every method that finds circuits must keep, on two families of models."""

import pytest
import torch
from support.problems import problem

from benchmark.config import configured, configured_names
from benchmark.graph.mask import EdgeMask
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import CircuitMethod
from benchmark.method.found import FoundCircuits
from benchmark.method.study import Study
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
CIRCUIT_METHODS = [
    name for name in configured_names("method") if not isinstance(configured("method", name), Study)
]


@pytest.mark.parametrize("name", CIRCUIT_METHODS)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_method_keeps_the_contract(models, family, name, tmp_path):
    model = models[family]
    scores = EdgeScores(model.graph, torch.randn(model.graph.exists.shape), signed=True)
    write_mib(tmp_path / "a.json", MibCircuit(scores), model.shape.d_model)
    needed = QUICK | {"imported": dict(path=f"{tmp_path}/a.json")}
    method = configured("method", name, **needed.get(name, {}))
    assert isinstance(method, CircuitMethod) and method.version >= 1
    asked = problem(model, references={"known": EdgeMask.full(model.graph)})
    assert method.unsupported(asked) is None
    sizes = [10, model.graph.n_edges]
    found = method.discover(asked, sizes)
    assert found
    ranked = isinstance(found, FoundCircuits) and bool(found.scores)
    assert ranked == (name not in UNRANKED)
    for circuit in found:
        assert circuit.mask.graph == model.graph and circuit.setting
        assert circuit.requested_size in (None, *sizes)
        assert circuit.requested_size is None or circuit.mask.size <= circuit.requested_size
        assert bool(((circuit.mask.keep == 0) | (circuit.mask.keep == 1)).all())
    again = method.discover(asked, sizes)
    assert all(torch.equal(a.mask.keep, b.mask.keep) for a, b in zip(found, again, strict=True))

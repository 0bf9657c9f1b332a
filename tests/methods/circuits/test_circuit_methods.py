"""The simple methods: sizes, chance, references, and what attribution under optimal ablation is."""

import pytest
import torch
from support.problems import problem
from support.values import largest

from benchmark.cli.list_methods import methods
from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits, masked_logits
from benchmark.graph.mask import EdgeMask, Pruning
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import CircuitMethod
from benchmark.method.study import Study
from benchmark.metric import KLDivergence
from benchmark.mib.files import MibCircuit, write_mib

QUICK = {
    "ugs": dict(steps=2, masks_per_step=2),
    "hcgs": dict(steps=2, masks_per_step=2),
    "subnetwork_probing": dict(steps=2),
    "subnetwork_probing_edges": dict(steps=2),
    "edge_pruning": dict(steps=2),
    "hap": dict(steps=2),
}


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
    assert method.cost
    assert isinstance(method, CircuitMethod) and method.version >= 1
    asked = problem(model, references={"known": EdgeMask.full(model.graph)})
    assert method.unsupported(asked) is None
    sizes = [10, model.graph.n_edges]
    found = method.discover(asked, sizes)
    assert found
    for circuit in found:
        assert circuit.mask.graph == model.graph and circuit.setting
        assert circuit.requested_size in (None, *sizes)
        assert circuit.requested_size is None or circuit.mask.size <= circuit.requested_size
        assert bool(((circuit.mask.keep == 0) | (circuit.mask.keep == 1)).all())
    again = method.discover(asked, sizes)
    assert all(torch.equal(a.mask.keep, b.mask.keep) for a, b in zip(found, again, strict=True))


@pytest.mark.parametrize(
    "name", ["zero", "mean", "mean_positional", "resample", "gaussian", "optimal"]
)
def test_eap_estimates_the_effect_of_each_edge(gpt2, name):
    """Each score is the gradient at the full mask; a small step along it changes the metric so."""
    changes = dict(steps=3, batch_size=5) if name == "optimal" else {}
    asked = problem(gpt2, name, **changes)
    eap = configured("method", "eap", batch_size=10)
    scores = eap.scores(asked)
    batch, graph = asked.batches[0], gpt2.graph
    values, step = asked.replacement(batch), 1e-5
    for edge in ("input->a0.h1<k>", "a0.h0->m0", "m0->a1.h1<v>", "m1->logits"):
        u, v = graph.edge(edge)
        keep = graph.exists.double()
        keep[u, v] -= step

        def metric(keep):
            with torch.no_grad():
                logits = masked_logits(gpt2, keep, batch, values)
            return float(asked.metric(logits, batch, logits).mean())

        slope = (metric(graph.exists.double()) - metric(keep)) / step
        assert float(scores.value[u, v]) == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_a_loss_is_attributed_with_the_other_sign(gpt2):
    eap = configured("method", "eap")
    entropy = configured("metric", "cross_entropy")
    assert not entropy.higher_is_better
    raised = eap.scores(problem(gpt2, metric=entropy)).value

    class Likelihood:
        unit, higher_is_better = "nats", True
        differentiable, flat_at_clean = True, False

        def __call__(self, logits, batch, clean_logits):
            return -entropy(logits, batch, clean_logits)

    assert largest(eap.scores(problem(gpt2, metric=Likelihood())).value, raised) < 1e-12


def test_the_loss_gap_has_no_first_order_effect(gpt2):
    reason = configured("method", "eap").unsupported(problem(gpt2, metric=KLDivergence()))
    assert "zero" in reason


def test_constants_of_single_sources_lose_less_than_means(gpt2):
    """What attribution under optimal ablation uses is better than the mean for each source."""
    asked = problem(gpt2, "optimal", steps=60, batch_size=10)
    batch, graph = asked.batches[0], gpt2.graph
    masks = (1 - torch.eye(graph.n_sources, dtype=torch.float64))[..., None]

    def gaps(values):
        with torch.no_grad():
            clean = clean_logits(gpt2, batch.clean, batch.read_at)
            return KLDivergence()(masked_logits(gpt2, masks, batch, values), batch, clean).mean(-1)

    mean = configured("ablation", "mean").fit(gpt2, asked.batches)(batch)
    optimal = gaps(asked.replacement(batch))
    assert bool((optimal <= gaps(mean) * 1.01 + 1e-9).all())
    assert float(optimal.sum()) < 0.9 * float(gaps(mean).sum())


def test_random_circuits_fit_their_sizes_and_hang_together(gpt2):
    random = configured("method", "random", circuits_per_size=6, tolerance=0.1)
    sizes = [0, 30, 60, 100, gpt2.graph.n_edges]
    found = random.discover(problem(gpt2), sizes)
    for size in sizes:
        masks = [circuit.mask for circuit in found if circuit.requested_size == size]
        assert len(masks) == 6
        for mask in masks:
            assert max(min(size, 1), 0.9 * size) <= mask.size <= size
            assert torch.equal(mask.pruned(Pruning.dangling).keep, mask.keep)
    middle = [circuit.mask.edges() for circuit in found if circuit.requested_size == 60]
    assert len({tuple(edges) for edges in middle}) == 6
    fewer = random.discover(problem(gpt2), [60])
    assert fewer[0].mask.edges() == middle[0]


@pytest.mark.parametrize("changes", [dict(circuits_per_size=0), dict(tolerance=1.0)])
def test_random_settings_out_of_range_are_refused(changes):
    with pytest.raises(UserError, match="circuits_per_size must be 1 or more"):
        configured("method", "random", **changes)


def test_references_are_shown_as_they_are(gpt2):
    half = EdgeMask(
        gpt2.graph, (torch.rand(gpt2.graph.exists.shape) < 0.5) * gpt2.graph.exists.float()
    )
    reference = configured("method", "reference")
    (found,) = reference.discover(problem(gpt2, references={"half": half}), [3])
    assert torch.equal(found.mask.keep, half.keep)
    assert (found.setting, found.requested_size) == ("circuit=half", None)
    assert "no circuit" in reference.unsupported(problem(gpt2))


def test_the_list_says_what_each_method_can_do():
    table = methods()
    columns = [list(column.cells) for column in table.columns]
    rows = {row[0]: row for row in zip(*columns, strict=True)}
    assert set(rows) == set(configured_names("method"))
    assert all(all(row) for row in rows.values())
    assert rows["exact"][2] == "circuits of edges, components"
    assert rows["acdc"][2] == "circuits of edges"
    assert rows["eap_gp"][2] == "circuits of edges, components, neurons"
    assert rows["eap_ig"][4] == "counterfactual" and rows["ugs"][4] == "all"
    assert rows["hisp"][4] == "counterfactual, zero"
    assert "method.path" in rows["imported"][4]

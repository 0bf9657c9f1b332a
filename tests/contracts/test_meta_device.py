"""Nothing is made on the wrong device, and nothing waits for it.

On the meta device a tensor of the CPU fails beside others, and so does every look at a number,
which on a GPU would wait for all work before it.
"""

import pytest
import torch
from support.options import methods_of
from support.prompts import random_batch
from support.quick import quick_or_slow
from support.values import random_values

from benchmark.config import configured, configured_names
from benchmark.effects.nodes.first_order import AtPVariant, Cut, node_effects
from benchmark.effects.nodes.nodes import NodeKind, Nodes
from benchmark.effects.nodes.patching import SiteRun, set_effects
from benchmark.forward.passes import clean_logits, clean_run, masked_logits, masked_prefix
from benchmark.graph.scores import EdgeScores
from benchmark.method.problem import Problem
from benchmark.metric import LogitDifference, OverWrong
from benchmark.models.loading import load_model
from benchmark.training.loop import MaskedTraining
from methods.circuits.masks.training import TrainsMasks
from methods.circuits.scoring.attribution import Attribution

# Those that add up scores of their own, batch by batch.
SCORED = ("activation_magnitude", "edge_atp", "hisp", "information_flow_routes")


@pytest.fixture(scope="module")
def nowhere(model_directories):
    return load_model(model_directories["llama"], device="meta", check=False)


@pytest.fixture
def asked(nowhere):
    batch = random_batch(n_prompts=6)
    metric = LogitDifference(OverWrong.mean)
    return Problem.of(nowhere, batch, ablation="counterfactual", metric=metric)


def test_passes_and_gradients(nowhere):
    batch, graph = random_batch(), nowhere.graph
    assert clean_logits(nowhere, batch.clean).is_meta
    assert clean_run(nowhere, batch.clean, batch.read_at)[0].is_meta
    masks = torch.ones(2, *graph.exists.shape, device="meta", requires_grad=True)
    values = random_values(nowhere, (1, 1, 1), keep_first=True).map(lambda x: x.to("meta"))
    leaves = values.map(lambda x: x.float().requires_grad_())
    masked_logits(nowhere, masks, batch, leaves).sum().backward()
    assert masks.grad.is_meta and leaves.heads.grad.is_meta
    prefix = masked_prefix(nowhere, masks[0].detach(), batch, values)
    assert all(base.is_meta for base in prefix.bases)


@pytest.mark.parametrize("name", configured_names("ablation"))
def test_ablations(nowhere, asked, name):
    replacement = configured("ablation", name).fit(nowhere, asked.batches)
    values = replacement(asked.batches[0])
    assert all(tensor.is_meta for tensor in values.tensors)


def random_scores(graph):
    return EdgeScores(graph, torch.randn(graph.exists.shape), signed=True)


@pytest.fixture
def brought_home(monkeypatch):
    """The shapes of what was brought home from the device, where a GPU is waited for."""
    shapes = []

    def cpu(tensor):
        if tensor.is_meta:
            shapes.append(tensor.shape)
            return torch.ones_like(tensor, device="cpu")
        return tensor

    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    return shapes


class BegunError(Exception):
    """A training whose first step is next."""


@pytest.mark.parametrize("ablation", quick_or_slow(["counterfactual", "optimal"], ["optimal"]))
@pytest.mark.parametrize("name", methods_of(TrainsMasks))
def test_training_steps(nowhere, asked, monkeypatch, name, ablation):
    def begun(training, *_):
        raise BegunError(training)

    monkeypatch.setattr(MaskedTraining, "run", begun)
    # Hybrid attribution brings its scores home before it trains.
    monkeypatch.setattr(Attribution, "scores", lambda *_: random_scores(nowhere.graph))
    problem = Problem.of(nowhere, asked.batches, ablation=ablation)
    with pytest.raises(BegunError) as stopped:
        configured("method", name).discover(problem, [10])
    (training,) = stopped.value.args
    training.advance()
    training.advance()
    assert training.losses().is_meta and len(training.losses()) == 2


@pytest.mark.parametrize("name", methods_of(Attribution))
def test_attributions(nowhere, asked, name):
    def objective(logits, batch, clean):
        return asked.metric(logits, batch, clean)

    effects = configured("method", name).effects(asked, *asked.batches, objective)
    assert effects.edges.is_meta and effects.neurons.is_meta


@pytest.mark.parametrize("name", SCORED)
def test_scores_come_home_once_a_batch(nowhere, asked, brought_home, name):
    configured("method", name, batch_size=2).discover(asked, [10])
    assert len(brought_home) == 3, brought_home


@pytest.mark.parametrize("fix_softmax", [False, True])
@pytest.mark.parametrize("cut", [None, *Cut])
def test_attribution_patching_of_nodes(nowhere, asked, fix_softmax, cut):
    nodes = Nodes(NodeKind.all, nowhere.shape, 1)
    variant = AtPVariant(fix_softmax=fix_softmax, cut=cut)
    (batch,) = asked.batches
    found = node_effects(nowhere, batch, nodes, asked.metric, variant, keep_first=True)
    assert found.is_meta and found.shape == (len(batch), len(nodes))


def test_patches_of_nodes(nowhere, asked):
    nodes = Nodes(NodeKind.all, nowhere.shape, 1)
    clean = SiteRun.of(nowhere, asked.batches[0], keep_first=True)
    chosen = torch.rand(3, 1, len(nodes)) < 0.5
    assert set_effects(nowhere, clean, nodes, chosen, asked.metric).is_meta


@pytest.fixture
def looks(monkeypatch):
    """A list with an item for every look at whether something is true on the device."""
    found, on_cpu = [], torch.Tensor.__bool__

    def look(tensor):
        if not tensor.is_meta:
            return on_cpu(tensor)
        found.append(tensor.shape)
        return True

    monkeypatch.setattr(torch.Tensor, "__bool__", look)
    return found


@pytest.mark.parametrize("steps", [2, 5])
@pytest.mark.parametrize("name", ["oca_lens", "tuned_lens"])
def test_lenses_train_without_waiting_for_a_step(nowhere, asked, brought_home, looks, name, steps):
    configured("method", name, steps=steps).study(asked, asked.batches)
    # Whether the last loss is a number, whose lens it is, the losses, and two tables at the end.
    assert len(looks) == 1 and len(brought_home) == 6


@pytest.mark.parametrize(
    "name", ["logit_lens", "zero_lens", "mean_lens", "resample_lens", "jacobian_lens"]
)
def test_lenses_bring_home_what_is_told_of_them_alone(nowhere, asked, brought_home, looks, name):
    configured("method", name).study(asked, asked.batches)
    assert looks == [] and [tuple(shape) for shape in brought_home] == [(2, 6), (2, 6)]

"""Gradient paths, information flow, head importance and magnitude against plain computations."""

import pytest
import torch
from support.problems import problem
from support.prompts import random_batch
from support.values import largest

from benchmark.ablations.other_prompts import Counterfactual
from benchmark.config import configured
from benchmark.effects.edges.differences import written
from benchmark.effects.edges.first_order import CleanRun
from benchmark.errors import UserError
from benchmark.forward.layers import run
from benchmark.forward.passes import clean_logits, logits_of_inputs, source_values
from benchmark.forward.streams import PlainStream
from benchmark.meter import metering


def test_a_gradient_path_comes_nearer_to_the_corrupted_logits(gpt2):
    batch = random_batch(same_length=True)
    values = Counterfactual(keep_first=False).fit(gpt2, [batch])(batch)
    clean = CleanRun.of(gpt2, batch, values)
    path = configured("method", "eap_gp", steps=5, step_length=0.02)._path(gpt2, clean, 0)
    target = clean_logits(gpt2, batch.corrupted, batch.read_at)

    def distance(x):
        logits = logits_of_inputs(gpt2, x[None], batch)[0]
        return (logits - target).square().sum(-1)

    distances = torch.stack([distance(x) for x in (clean.inputs_at([1.0])[0], *path)])
    assert bool((distances.diff(dim=0) < 0).all())
    steps = torch.cat([clean.inputs_at([1.0]), path]).diff(dim=0).flatten(2).norm(dim=-1)
    assert largest(steps, torch.full_like(steps, 0.02)) < 1e-9


def test_a_path_between_equal_prompts_scores_nothing(gpt2):
    batch = random_batch()
    asked = problem(gpt2)
    object.__setattr__(asked, "batches", [type(batch)(**{**vars(batch), "corrupted": batch.clean})])
    for step_length in (1.0, None):
        scores = configured("method", "eap_gp", step_length=step_length).scores(asked).value
        assert bool((scores == 0).all())


def test_a_gradient_path_leaves_a_kept_position_where_it_is(gpt2):
    batch = random_batch(same_length=True)
    assert bool((batch.clean[:, 0] != batch.corrupted[:, 0]).any())
    values = Counterfactual(keep_first=True).fit(gpt2, [batch])(batch)
    clean = CleanRun.of(gpt2, batch, values)
    path = configured("method", "eap_gp")._path(gpt2, clean, 1)
    assert largest(path[:, :, 0], clean.inputs_at([1.0])[:, :, 0].expand_as(path[:, :, 0])) == 0


@pytest.mark.slow
def test_gradient_paths_do_not_depend_on_the_batch(gpt2):
    one, whole = (
        configured("method", "eap_gp", batch_size=size).scores(problem(gpt2)).value
        for size in (1, 10)
    )
    assert largest(one, whole) < 1e-9


# Passes per prompt on two layers: forward and backward.
COSTS = {
    "eap": (2, 1),
    "eap_ig": (2 + 5, 5),
    "clean_corrupted": (2 + 2, 2),
    "relp": (2, 1),
    "eap_gp": (2 + 1 + 2 * 5, 2 * 5),
    # Clean, corrupted and the one pass back; 5 points at the input, and from each layer on twice.
    "eap_ig_activations": (3 + 5 + 2 * 5 * 1.5, 1 + 5 + 2 * 5 * 1.5),
    "eap_ig_activations_own": (3 + 5 + 2 * 5 * 1.5, 5 + 2 * 5 * 1.5),
    "hisp": (2, 1),
    "information_flow_routes": (1, 0),
    "activation_magnitude": (1, 0),
}


@pytest.mark.parametrize("name", COSTS)
def test_what_attribution_costs(gpt2, name):
    assert gpt2.graph.n_layers == 2
    asked = problem(gpt2)
    with metering() as cost:
        configured("method", name).scores(asked)
    n_prompts = len(asked.batches[0])
    assert (cost.forward / n_prompts, cost.backward / n_prompts) == pytest.approx(COSTS[name])


@pytest.mark.parametrize("name", ["eap", "hisp", "information_flow_routes", "activation_magnitude"])
def test_a_batch_needs_prompts(name):
    with pytest.raises(UserError, match="batch_size=0 must be 1 or more"):
        configured("method", name, batch_size=0)


def test_flow_shares_of_a_reader_add_up_to_one(model):
    routes = configured("method", "information_flow_routes", batch_size=3)
    scores = routes.scores(problem(model)).value
    assert largest(scores.sum(0), torch.ones(model.graph.n_destinations)) < 1e-6
    assert bool((scores >= 0).all())


def test_flow_shares_of_one_prompt_by_hand(model):
    batch = random_batch(n_prompts=1)
    asked = problem(model)
    object.__setattr__(asked, "batches", [batch])
    scores = configured("method", "information_flow_routes").scores(asked).value
    parts = written(model, source_values(model, batch.clean), range(model.graph.n_layers))[:, 0]
    kept = {}

    class Watching(PlainStream):
        def read(self, stage):
            kept[stage] = self._x[0, 0, 0]
            return self._x

    x = model.weights.embed(batch.clean).to(model.stream_dtype)
    run(model, Watching(x[None, None]), batch.clean, batch.read_at, focus_last_layer=False)
    for stage in (model.graph.qkv_stage(1), model.graph.mlp_stage(1)):
        whole = kept[stage]
        n_real = int(batch.lengths[0])
        near = [
            (whole.abs().sum(-1) - (whole - part).abs().sum(-1)).clamp(min=0)[:n_real]
            for part in parts[: stage.n_sources]
        ]
        shares = (torch.stack(near) / torch.stack(near).sum(0)).mean(1)
        assert largest(scores[: stage.n_sources, stage.start], shares.float()) < 1e-5


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("keep_first", [False, True])
def test_head_importance_by_hooks(models, family, keep_first):
    """Against TransformerLens: activations and gradients of both prompts by its own hooks."""
    model, batch = models[family], random_batch(n_prompts=3, same_length=True)
    asked = problem(model)
    object.__setattr__(asked, "batches", [batch])
    object.__setattr__(asked, "ablation", Counterfactual(keep_first=keep_first))
    found = configured("method", "hisp", batch_size=2).scores(asked)
    bridge, kept, shape = model.bridge, {"clean": {}, "corrupted": {}}, model.shape
    names = [f"attn.hook_{kind}" for kind in "qkv"] + ["hook_mlp_out"]
    places = [(i, name) for i in range(shape.n_layers) for name in names]

    def keeping(kind, place):
        def hook(value, hook):
            if kind == "clean":
                value.retain_grad()
            kept[kind][place] = value
            return value

        return f"blocks.{place[0]}.{place[1]}", hook

    def hooks(kind):
        return [keeping(kind, place) for place in places]

    with torch.enable_grad():
        start = ("hook_embed", lambda value, hook: value.detach().requires_grad_())
        logits = bridge.run_with_hooks(batch.clean, fwd_hooks=[start, *hooks("clean")])[:, -1]
        asked.metric(logits, batch, logits.detach()).sum().backward()
    with torch.no_grad():
        bridge.run_with_hooks(batch.corrupted, fwd_hooks=hooks("corrupted"))
    scores = {place: [] for place in places}
    for place, value in kept["clean"].items():
        effect = (value - kept["corrupted"][place]).detach() * value.grad
        effect = effect[:, int(keep_first) :].unflatten(0, (3, 1)).flatten(3)
        if "attn" in place[1]:
            heads = effect.unflatten(-1, (-1, shape.d_head)).sum((1, 2, 4))
            scores[place] = heads.abs().mean(0).repeat_interleave(shape.n_heads // heads.shape[1])
        else:
            scores[place] = effect.sum((1, 2, 3)).abs().mean(0, keepdim=True)
    for layer in range(shape.n_layers):
        own = torch.cat([scores[layer, name] for name in names])
        first, mlp = model.graph.qkv_stage(layer).start, model.graph.mlp_stage(layer).start
        mine = found[first : mlp + 1]
        if shape.n_key_value_heads < shape.n_heads:
            # Here each query head has a key and a value of its own, there some share one.
            queries = [*range(shape.n_heads), len(own) - 1]
            own, mine = own[queries], mine[queries] / mine[queries].norm()
        assert largest(mine, (own / own.norm()).float()) < 1e-5


def test_head_importance_circuits_have_all_edges_between_what_is_kept(gpt2):
    hisp = configured("method", "hisp")
    sizes = [0, 30, 70, gpt2.graph.n_edges]
    for circuit in hisp.discover(problem(gpt2), sizes):
        assert circuit.mask.size <= circuit.requested_size
    assert circuit.mask.size == gpt2.graph.n_edges
    assert "corrupted" in hisp.unsupported(problem(gpt2, "mean"))
    assert hisp.unsupported(problem(gpt2, "zero")) is None


def test_magnitudes_are_mean_norms(gpt2):
    batch, asked = random_batch(n_prompts=1), problem(gpt2)
    object.__setattr__(asked, "batches", [batch])
    scores = configured("method", "activation_magnitude").scores(asked).value
    live = source_values(gpt2, batch.clean)
    norm = live.mlps[0, 0, 0].norm(dim=-1)[: int(batch.lengths[0])].mean()
    u, v = gpt2.graph.edge("m0->logits")
    assert float(scores[u, v]) == pytest.approx(float(norm), rel=1e-5)

"""Gradient paths, information flow, head importance and magnitude against plain computations."""

import pytest
import torch
from helpers import largest, random_batch
from test_circuit_methods import problem

from benchmark.ablation import Counterfactual
from benchmark.config import configured
from benchmark.differences import written
from benchmark.edge_effects import CleanPoint
from benchmark.forward import clean_logits, source_values
from benchmark.layers import run
from benchmark.streams import PlainStream


def test_a_gradient_path_comes_nearer_to_the_corrupted_logits(gpt2):
    batch = random_batch(same_length=True)
    values = Counterfactual(keep_first=False).fit(gpt2, [batch])(batch)
    clean = CleanPoint.of(gpt2, batch, values)
    path = configured("method", "eap_gp", steps=5, step_length=0.02)._path(gpt2, clean, 0)
    target = clean_logits(gpt2, batch.corrupted, batch.read_at)

    def distance(x):
        logits = run(gpt2, PlainStream(x[None, None]), batch.clean, batch.read_at)[0, 0]
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


def test_gradient_paths_do_not_depend_on_the_batch(gpt2):
    one, whole = (
        configured("method", "eap_gp", batch_size=size).scores(problem(gpt2)).value
        for size in (1, 10)
    )
    assert largest(one, whole) < 1e-9


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


def test_head_importance_by_hooks(gpt2):
    """Against TransformerLens: activations and gradients of both prompts by its own hooks."""
    batch, asked = random_batch(n_prompts=3, same_length=True), problem(gpt2)
    object.__setattr__(asked, "batches", [batch])
    object.__setattr__(asked, "ablation", Counterfactual(keep_first=False))
    found = configured("method", "hisp", batch_size=2).scores(asked)
    bridge, expected = gpt2.bridge, []
    names = [f"attn.hook_{kind}" for kind in "qkv"] + ["hook_mlp_out"]
    kept = {}

    def keeping(kind):
        def hook(value, hook):
            if kind == "clean":
                value.retain_grad()
            kept[kind, hook.name] = value
            return value

        return hook

    def hooks(kind):
        layers = range(gpt2.graph.n_layers)
        return [(f"blocks.{i}.{name}", keeping(kind)) for i in layers for name in names]

    with torch.enable_grad():
        start = ("hook_embed", lambda value, hook: value.detach().requires_grad_())
        logits = bridge.run_with_hooks(batch.clean, fwd_hooks=[start, *hooks("clean")])[:, -1]
        asked.metric(logits, batch, logits.detach()).sum().backward()
    with torch.no_grad():
        bridge.run_with_hooks(batch.corrupted, fwd_hooks=hooks("corrupted"))
    by_name = {name: value for (kind, name), value in kept.items() if kind == "clean"}
    for layer in range(gpt2.graph.n_layers):
        scores = []
        for name, value in by_name.items():
            if name.startswith(f"blocks.{layer}."):
                effect = (value - kept["corrupted", name]).detach() * value.grad
                effect = effect.view(3, effect.shape[1], -1, gpt2.shape.d_head)
                heads = effect.sum((1, 3)) if "attn" in name else effect.sum((1, 2, 3))[:, None]
                scores.append(heads.abs().mean(0))
        scores = torch.cat(scores)
        expected.append(scores / scores.norm())
    assert largest(found[:-1], torch.cat(expected).float()) < 1e-5


def test_head_importance_circuits_have_all_edges_between_what_is_kept(gpt2):
    hisp = configured("method", "hisp")
    sizes = [0, 30, 70, gpt2.graph.n_edges]
    for circuit in hisp.discover(problem(gpt2), sizes):
        assert circuit.mask.n_edges <= circuit.requested
    assert circuit.mask.n_edges == gpt2.graph.n_edges
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

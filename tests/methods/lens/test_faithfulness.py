"""Effects of changed states: by hooks, by definition, and where a lens is its model."""

from dataclasses import replace

import pytest
import torch
from support.problems import problem
from support.prompts import random_batch
from support.values import largest

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.forward.states import logits_from, streams
from benchmark.transformer.transformer import Transformer
from methods.lens.fitted import lens_logits
from methods.lens.fitting.text import states_of
from methods.lens.judging.effects import EffectsAtLayer, divergence, similarity
from methods.lens.judging.interventions import (
    exchanged,
    jittered,
    moved,
    projected,
    random_directions,
    size_for,
)
from methods.lens.judging.moments import RIDGE, Moments

BATCH = random_batch(n_prompts=5, seed=4)
TEXT = [random_batch(n_prompts=60, seed=seed) for seed in (7, 8)]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_changed_states_go_on_as_in_hugging_face(models, family):
    model = models[family]
    body = getattr(model.hugging_face, "transformer", None) or model.hugging_face.model
    blocks = getattr(body, "h", None) or body.layers
    draw = torch.Generator().manual_seed(0)
    width = model.shape.d_model
    states = torch.randn(2, len(BATCH), width, generator=draw, dtype=torch.float64)
    rows = torch.arange(len(BATCH))
    for layer, block in enumerate(blocks):
        stream = streams(model, BATCH.clean)[layer][0, 0].detach()
        ours = logits_from(model, BATCH.clean, BATCH.read_at, stream, states, layer)
        for row, wanted in zip(states, ours, strict=True):

            def replace_state(module, inputs, row=row):
                x = inputs[0].clone()
                x[rows, BATCH.read_at] = row
                return (x, *inputs[1:])

            handle = block.register_forward_pre_hook(replace_state)
            theirs = model.hugging_face(BATCH.clean).logits[rows, BATCH.read_at]
            handle.remove()
            assert largest(wanted, theirs) < 1e-4


def moments_of(states, finals=None, parts=1):
    moments = Moments()
    pairs = zip(
        states.chunk(parts), (states if finals is None else finals).chunk(parts), strict=True
    )
    for one, other in pairs:
        moments.add(one, other)
    return moments


def spread_of(states):
    return moments_of(states).spread


def without_heads(model):
    """The model whose heads write nothing, which the lens of zero attention is exactly."""
    layers = tuple(
        replace(layer, attention=replace(layer.attention, W_O=0 * layer.attention.W_O, b_O=None))
        for layer in model.weights.layers
    )
    weights = replace(model.weights, layers=layers)
    return Transformer(weights, model.shape, model.dtype, model.device)


def test_a_lens_that_is_the_model_has_the_same_effects(gpt2):
    model = without_heads(gpt2)
    lens = configured("method", "zero_lens").fit(model, TEXT)
    states = states_of(model, TEXT).before
    for layer in range(model.shape.n_layers):
        effects = EffectsAtLayer.of(lens, BATCH, layer)
        spread = spread_of(states[layer])
        changed = moved(effects.states, random_directions(spread, 20, 0, layer), 0.5, 0)
        found = effects.with_states(changed, over_examples=False)
        assert found.pop("loss") == pytest.approx(0, abs=1e-9)
        assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=1e-9)


def test_similarity_is_a_cosine_that_no_constant_changes():
    draw = torch.Generator().manual_seed(0)
    before, u, v = torch.randn(3, 4, 9, generator=draw, dtype=torch.float64)
    before = before.log_softmax(-1)
    assert similarity(before, u, u).tolist() == pytest.approx([1.0] * 4)
    assert similarity(before, u, -2 * u).tolist() == pytest.approx([-1.0] * 4)
    assert largest(similarity(before, u, v), similarity(before, u + 3, v - 5)) < 1e-12
    # The same by the definition with geometric means.
    p = before.exp()
    logs = [x.softmax(-1).log() for x in (u, v)]
    a, b = (x - (p * x).sum(-1, keepdim=True) for x in logs)
    wanted = (p * a * b).sum(-1) / ((p * a * a).sum(-1) * (p * b * b).sum(-1)).sqrt()
    assert largest(similarity(before, u, v), wanted) < 1e-12
    assert divergence(before, before).abs().max() == 0


def test_projections_leave_nothing_along_their_direction_and_touch_nothing_else():
    draw = torch.Generator().manual_seed(1)
    states = torch.randn(30, 6, generator=draw, dtype=torch.float64)
    spread = spread_of(states)
    directions = random_directions(spread, 4, 0, 0)
    changed = projected(states, directions, spread)
    for direction, row in zip(directions, changed, strict=True):
        assert ((row - spread.mean) @ direction).abs().max() < 1e-12
        change = row - states
        unit = direction / direction.norm()
        assert largest(change, (change @ unit)[:, None] * unit) < 1e-12


def test_exchanged_components_are_the_next_examples_and_the_rest_stays():
    draw = torch.Generator().manual_seed(2)
    states, directions = (torch.randn(n, 6, generator=draw, dtype=torch.float64) for n in (5, 6))
    (changed,) = exchanged(states, directions, 2)
    span = directions[:2]
    assert largest(changed @ span.T, states.roll(-1, 0) @ span.T) < 1e-12
    rest = torch.linalg.svd(span).Vh[2:]
    assert largest(changed @ rest.T, states @ rest.T) < 1e-12


def test_the_spread_of_random_directions_is_that_of_the_states():
    draw = torch.Generator().manual_seed(3)
    states = torch.randn(5000, 3, generator=draw, dtype=torch.float64) @ torch.diag(
        torch.tensor([3.0, 1.0, 0.1], dtype=torch.float64)
    )
    directions = random_directions(spread_of(states), 20000, 0, 0)
    assert directions.std(0).tolist() == pytest.approx([3.0, 1.0, 0.1], rel=0.05)


def test_the_first_direction_of_the_basis_moves_the_lens_most():
    draw = torch.Generator().manual_seed(4)
    states = torch.randn(500, 3, generator=draw, dtype=torch.float64)
    finals = states @ torch.diag(torch.tensor([0.1, 5.0, 1.0], dtype=torch.float64))
    basis = moments_of(states, finals).basis()
    assert basis.abs().argmax(1).tolist() == [1, 2, 0]


def test_sums_over_parts_are_moments_and_least_squares_of_the_whole_text():
    draw = torch.Generator().manual_seed(5)
    states = 40 + torch.randn(60, 4, generator=draw, dtype=torch.float64)
    finals = torch.tanh(states - 40) @ torch.randn(4, 4, generator=draw, dtype=torch.float64)
    moments = moments_of(states, finals, parts=7)
    spread, moved_states = moments.spread, states - states.mean(0)
    assert largest(spread.mean, states.mean(0)) < 1e-12
    covariance = moved_states.T @ moved_states / 60 + RIDGE * torch.eye(4, dtype=torch.float64)
    assert largest(spread.root @ spread.root.T, covariance) < 1e-10
    fitted = torch.linalg.lstsq(moved_states, finals - finals.mean(0)).solution.T @ spread.root
    wanted = torch.linalg.svd(fitted).Vh @ spread.root.T
    found = moments.basis()
    assert largest((found * wanted).sum(1).abs(), (wanted * wanted).sum(1)) < 1e-8
    few = moments_of(states[:3], finals[:3]).basis()
    assert few.isfinite().all()


def test_the_size_is_the_largest_below_the_level():
    assert size_for(lambda size: size, 0.5, 0) == pytest.approx(0.4931, rel=0.05)
    assert size_for(lambda size: 1.0, 0.5, 0) == pytest.approx(10**-1.5)
    assert size_for(lambda size: 0.0, 0.5, 2) == pytest.approx(1.05**2 * 10**0.2)


def test_the_study_has_a_row_for_every_intervention_and_layer(gpt2):
    settings = dict(directions=6, examples=4, exchanged=2, lens="mean_lens")
    found = configured("method", "lens_faithfulness", **settings).study(problem(gpt2), [BATCH])
    assert len(found.table) == (5 + 6) * gpt2.shape.n_layers
    local = found.table[found.table["intervention"] == "local_perturbation"]
    assert sorted(set(local["level"])) == [0.05, 0.1, 0.2, 0.3, 0.5, 1.0]
    assert (local.groupby("layer")["size"].diff().dropna() >= 0).all()
    assert found.table["direction_similarity"].between(-1, 1).all()
    assert found.table["magnitude_correlation"].between(-1.001, 1.001).all()
    assert found.cost.forward == 10
    alone = configured("method", "mean_lens").study(problem(gpt2), [BATCH])
    same = ("mean_loss", "mean_agreement", "n_parameters")
    assert [found.summary[name] for name in same] == [alone.summary[name] for name in same]
    assert torch.equal(found.tensors["loss"], alone.tensors["loss"])
    with pytest.raises(UserError, match=r"method.levels=\[0.0\] must be above 0"):
        configured("method", "lens_faithfulness", levels=[0.0])
    with pytest.raises(UserError, match=r"method.levels needs one or more values"):
        configured("method", "lens_faithfulness", levels=[])
    with pytest.raises(UserError, match=r"method.level=0.0 must be above 0"):
        configured("method", "lens_faithfulness", level=0.0)


def test_local_perturbations_spread_as_the_states_do_and_move_each_example_alone():
    draw = torch.Generator().manual_seed(5)
    text = torch.randn(4000, 3, generator=draw, dtype=torch.float64)
    spread = spread_of(text * torch.tensor([3.0, 1.0, 0.1], dtype=torch.float64))
    states = torch.zeros(4, 3, dtype=torch.float64)
    changed = jittered(states, spread, 0.5, 5000, 0)
    assert changed.flatten(0, 1).std(0).tolist() == pytest.approx([1.5, 0.5, 0.05], rel=0.06)
    assert not torch.equal(changed[:, 0], changed[:, 1])


def test_as_in_the_authors_code_examples_share_what_is_done_to_them():
    draw = torch.Generator().manual_seed(6)
    states, text = (torch.randn(n, 4, generator=draw, dtype=torch.float64) for n in (5, 40))
    spread = spread_of(text)
    directions = random_directions(spread, 3, 0, 0)
    steps = moved(states, directions, 1.0, 0, paper_compat=True) - states
    assert largest(steps, steps[:, :1].expand_as(steps)) < 1e-12
    assert largest(steps[:, 0], moved(states, directions, 1.0, 0)[:, 0] - states[0]) < 1e-12
    ours, theirs = (
        projected(states, directions, spread, paper_compat=compat) - states
        for compat in (False, True)
    )
    assert largest(theirs, ours.sum(1, keepdim=True).expand_as(theirs)) < 1e-12
    moments = moments_of(text, text @ torch.randn(4, 4, generator=draw, dtype=torch.float64))
    columns = moments.basis(paper_compat=True)
    assert largest(columns @ columns.T, torch.eye(4, dtype=torch.float64)) < 1e-10
    rows = torch.linalg.solve(spread.root, moments.basis().T).T
    assert largest(columns, rows.T) < 1e-10


def test_a_lens_that_draws_donors_draws_the_same_for_changed_states(gpt2):
    """What does not change has no effect, however many rows are read at once."""
    lens = configured("method", "resample_lens").fit(gpt2, TEXT)
    for layer in range(gpt2.shape.n_layers):
        effects = EffectsAtLayer.of(lens, BATCH, layer)
        same = effects.states.expand(7, *effects.states.shape)
        said = lens_logits(lens, same, layer).log_softmax(-1)
        assert largest(divergence(effects.lens_says, said), torch.tensor(0.0)) < 1e-12


def test_effects_of_some_rows_at_a_time_are_those_of_all(gpt2, monkeypatch):
    lens = configured("method", "mean_lens").fit(gpt2, TEXT)
    effects = EffectsAtLayer.of(lens, BATCH, 0)
    spread = spread_of(states_of(gpt2, TEXT).before[0])
    changed = moved(effects.states, random_directions(spread, 5, 0, 0), 0.5, 0)
    whole = effects.with_states(changed, over_examples=False)
    monkeypatch.setattr(EffectsAtLayer, "_rows_at_once", lambda _: 2)
    assert effects.with_states(changed, over_examples=False) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("few", [{"directions": 2}, {"examples": 1}])
def test_what_correlates_by_necessity_is_refused(few):
    with pytest.raises(UserError, match="effects are correlated over 3 or more: give"):
        configured("method", "lens_faithfulness", **few)

"""Lenses against definitions, exact where nothing is trained, and against their controls."""

from dataclasses import replace

import pytest
import torch
from support.made.models import linear
from support.prompts import random_batch
from support.values import largest

from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.forward.layers import unembedded
from benchmark.forward.passes import clean_logits
from benchmark.meter import metering
from methods.lens.fitted import ConstantAttentionLens, TranslatorLens, lens_logits
from methods.lens.fitting.jacobian import (
    mean_jacobian_at_read_position,
    mean_jacobian_of_later_states,
)
from methods.lens.fitting.loss import divergences, divergences_with_gradient
from methods.lens.fitting.text import DIGESTED, Given, states_of
from methods.lens.lens import judged_at

LENSES = [
    name
    for name in configured_names("method")
    if name.endswith("_lens") and name != "imported_lens"
]
TRAINED = dict(steps=30, batch_size=8)
TEXT = [random_batch(n_prompts=12), random_batch(n_prompts=12, seed=1)]


def lens_of(name, **changes):
    trained = name in ("oca_lens", "tuned_lens", "oca_linear_lens", "gradient_bias_lens")
    changes = (TRAINED if trained else {}) | changes
    if name == "oca_linear_lens":
        changes = {"oca_steps": 30} | changes
    return configured("method", name, **changes)


@pytest.mark.parametrize("name", LENSES)
def test_every_lens_is_the_model_at_the_final_state_and_reads_one_layer_as_all(model, name):
    lens = lens_of(name, **({"steps": 2} if "steps" in lens_of(name).__dict__ else {})).fit(
        model, TEXT
    )
    states = states_of(model, TEXT)
    batch = TEXT[0]
    last = lens_logits(lens, states.before[-1], model.shape.n_layers)
    own = clean_logits(model, batch.clean, batch.read_at)
    assert largest(last[: len(batch)], own) < 1e-10
    together = lens.finals(states.before[:-1])
    for layer in range(model.shape.n_layers):
        alone = lens.final(states.before[layer], layer)
        assert largest(together[layer], alone) < 1e-9


def test_the_logit_lens_is_norm_and_unembedding(gpt2):
    lens = lens_of("logit_lens").fit(gpt2, TEXT)
    states = states_of(gpt2, TEXT)
    ln_f, lm_head = gpt2.hugging_face.transformer.ln_f, gpt2.hugging_face.lm_head
    wanted = lm_head(ln_f(states.before[1]))
    assert largest(lens_logits(lens, states.before[1], 1), wanted) < 1e-10


def test_the_gradient_of_the_constants_is_that_of_finite_differences(gpt2):
    states = states_of(gpt2, TEXT)
    lens = lens_of("oca_lens", steps=1)
    constants = list(lens._first_constants(Given(gpt2, TEXT, None, 0, None)))
    oca = ConstantAttentionLens(gpt2, tuple(constants))
    divergences_with_gradient(gpt2, oca.finals(states.before[:-1]), states.before[-1:])
    step = 1e-5
    for layer, start, unit in ((0, 0, 3), (1, 0, 5), (1, 1, 0)):
        moved = []
        for sign in (1, -1):
            changed = [x.detach().clone() for x in constants]
            changed[layer][start, unit] += sign * step
            ends = ConstantAttentionLens(gpt2, tuple(changed)).finals(states.before[:-1])
            moved.append(divergences(gpt2, ends, states.before[-1:]).mean(1).sum())
        slope = (moved[0] - moved[1]) / (2 * step)
        assert constants[layer].grad[start, unit] == pytest.approx(slope.item(), rel=1e-5)


@pytest.mark.slow
def test_oca_never_loses_more_than_mean_zero_or_resampled_attention_on_its_text(model):
    states = states_of(model, TEXT)

    def losses(name, **changes):
        lens = lens_of(name, **changes).fit(model, TEXT)
        return judged_at(lens, [states])["loss"].mean(1)

    oca = losses("oca_lens", steps=150, batch_size=24)
    for other in ("mean_lens", "zero_lens", "resample_lens"):
        assert (oca <= losses(other) + 1e-9).all(), other


@pytest.mark.parametrize("name", ["oca_lens", "tuned_lens", "gradient_bias_lens"])
@pytest.mark.parametrize("start", [0, 1])
def test_training_lowers_the_loss_from_either_start(gpt2, name, start):
    option = ("mean", "normal") if name == "oca_lens" else ("identity", "normal")
    states = states_of(gpt2, TEXT)
    settings = dict(batch_size=24, learning_rate=0.02, start=option[start])
    few, many = (
        judged_at(lens_of(name, steps=steps, **settings).fit(gpt2, TEXT), [states])["loss"].mean()
        for steps in (1, 60)
    )
    assert many < few


@pytest.mark.slow
def test_the_linear_lens_learns_what_oca_says_and_not_what_the_model_says(gpt2):
    changes = dict(batch_size=24, learning_rate=0.01)
    oca = lens_of("oca_lens", steps=1, **changes).fit(gpt2, TEXT)
    linear_lens = lens_of("oca_linear_lens", steps=400, oca_steps=1, **changes).fit(gpt2, TEXT)
    states = states_of(gpt2, TEXT)
    from_oca = divergences(
        gpt2, linear_lens.finals(states.before[:-1]), oca.finals(states.before[:-1])
    )
    from_model = divergences(gpt2, linear_lens.finals(states.before[:-1]), states.before[-1:])
    assert from_oca.mean() < from_model.mean()


def test_jacobians_of_a_linear_model_are_exact(gpt2):
    model = linear(gpt2)
    batch = random_batch(n_prompts=2, n_positions=4, same_length=True)
    later = mean_jacobian_of_later_states(model, [batch], skip_first=0, skip_last=0)
    own = mean_jacobian_at_read_position(model, [batch], None)
    # In a linear model the derivative is the difference that a change makes, of any size.
    from benchmark.forward.states import streams

    draw = torch.Generator().manual_seed(0)
    change = torch.randn(model.shape.d_model, generator=draw, dtype=torch.float64)
    for layer in range(model.shape.n_layers):
        changes = []
        for position in range(batch.n_positions):
            base = _ends(model, batch, layer, None, change)
            moved = _ends(model, batch, layer, position, change)
            changes.append((moved - base)[:, position:].sum(1).mean(0))
            if position == batch.n_positions - 1:
                at_read = (moved - base)[:, position].mean(0)
        assert largest(later[layer] @ change, torch.stack(changes).mean(0)) < 1e-9
        assert largest(own[layer] @ change, at_read) < 1e-9
    assert len(streams(model, batch.clean)) == model.shape.n_layers + 1


@torch.no_grad()
def _ends(model, batch, layer, position, change):
    """The final stream where the state before a layer is moved at a position."""
    from benchmark.forward.layers import embedded, positions_of, run_layers
    from benchmark.forward.streams import PlainStream

    first = PlainStream(embedded(model, batch.clean)[None, None])
    seen = []
    run_layers(
        model, first, positions_of(model, batch.clean), before_layer=lambda _: seen.append(first.x)
    )
    x = seen[layer].clone()
    if position is not None:
        x[..., position, :] += change
    stream = PlainStream(x)
    run_layers(model, stream, positions_of(model, batch.clean), start_layer=layer)
    return stream.x[0, 0]


def test_a_resumed_fit_gives_the_same_bits(gpt2, tmp_path, monkeypatch):
    monkeypatch.setattr("methods.lens.fitting.training.CHECKPOINT_EVERY", 10)
    whole = lens_of("oca_lens", steps=40).fit(gpt2, TEXT)
    path = tmp_path / "lens.checkpoint"
    lens_of("oca_lens", steps=20).fit(gpt2, TEXT, checkpoint=path)
    resumed = lens_of("oca_lens", steps=40).fit(gpt2, TEXT, checkpoint=path)
    for one, other in zip(whole.constants, resumed.constants, strict=True):
        assert torch.equal(one, other)
    with pytest.raises(UserError, match="another model, text or settings"):
        lens_of("oca_lens", steps=40).fit(gpt2, TEXT[:1], checkpoint=path)
    with pytest.raises(UserError, match="holds 40 steps, more than steps=30"):
        lens_of("oca_lens", steps=30).fit(gpt2, TEXT, checkpoint=path)


@pytest.mark.parametrize("name", ["oca_lens", "mean_lens"])
def test_a_text_too_long_to_be_kept_is_read_anew_at_every_step(gpt2, tmp_path, monkeypatch, name):
    kept = lens_of(name).fit(gpt2, TEXT)
    monkeypatch.setattr("methods.lens.fitting.text.states_that_fit", lambda _: len(TEXT[0]))
    with metering() as spent:
        read = lens_of(name).fit(gpt2, TEXT, checkpoint=tmp_path / "lens.checkpoint")
    for one, other in zip(kept.constants, read.constants, strict=True):
        assert largest(one, other) < 1e-10
    steps = TRAINED["steps"] * TRAINED["batch_size"] + DIGESTED if name == "oca_lens" else 0
    assert spent.forward == sum(map(len, TEXT)) + steps


def test_layers_a_few_at_a_time_give_the_same_losses_and_gradients(gpt2, monkeypatch):
    states = states_of(gpt2, TEXT)
    found = []
    for at_once in (2**25, 1):
        monkeypatch.setattr("methods.lens.fitting.loss.NUMBERS_AT_ONCE", at_once)
        finals = (states.before[:-1] * 1.1).requires_grad_()
        loss = divergences_with_gradient(gpt2, finals, states.before[-1:])
        found.append((loss, finals.grad))
    (one, gradient), (other, same) = found
    assert largest(one, other) < 1e-12
    assert largest(gradient, same) < 1e-12


def test_constants_of_all_starts_alike_are_the_shared_ones(gpt2):
    states = states_of(gpt2, TEXT)
    mean = lens_of("mean_lens").fit(gpt2, TEXT)
    repeated = tuple(x.repeat(layer + 1, 1) for layer, x in enumerate(mean.constants))
    own = replace(mean, constants=repeated)
    assert torch.equal(own.finals(states.before[:-1]), mean.finals(states.before[:-1]))


def test_resampled_attention_is_another_prompts_and_the_same_at_every_reading(gpt2):
    lens = lens_of("resample_lens").fit(gpt2, TEXT[:1])
    states = states_of(gpt2, TEXT[1:])
    first, again = (lens.finals(states.before[:-1]) for _ in range(2))
    assert torch.equal(first, again)
    # The last layer adds one donor's attention, then runs its MLP.
    options = torch.stack(
        [
            ConstantAttentionLens(gpt2, (donor[None, :],) * 2).final(states.before[1], 1)
            for donor in lens.donors[1]
        ]
    )
    nearest = (options - first[1]).abs().amax(-1).min(0).values
    assert nearest.max() < 1e-12


def test_a_translator_without_matrices_is_the_identity(gpt2):
    lens = TranslatorLens(gpt2, None, None)
    states = states_of(gpt2, TEXT).before
    assert torch.equal(lens_logits(lens, states[0], 0), unembedded(gpt2, states[0]))
    assert lens.n_parameters == 0


def test_what_cannot_be_read_is_refused(gpt2):
    lens = lens_of("logit_lens").fit(gpt2, TEXT)
    states = states_of(gpt2, TEXT).before[0]
    with pytest.raises(UserError, match=r"layer 7 is not one of 0\.\.2"):
        lens_logits(lens, states, 7)
    with pytest.raises(UserError, match="states have 3 numbers"):
        lens_logits(lens, states[:, :3], 0)
    with pytest.raises(UserError, match="the shortest prompt has 3"):
        states_of(gpt2, [random_batch(n_prompts=30)], length=5)
    with pytest.raises(UserError, match="no position of any prompt is left"):
        lens_of("jacobian_lens", skip_first=50).fit(gpt2, TEXT)
    for setting in (dict(steps=0), dict(learning_rate=0.0), dict(weight_decay=-1.0)):
        with pytest.raises(UserError, match=f"method.{next(iter(setting))}="):
            lens_of("oca_lens", **setting)


def test_a_loss_that_is_not_finite_ends_the_fit(gpt2):
    with pytest.raises(UserError, match="loss of a lens is not finite"):
        lens_of("tuned_lens", steps=40, learning_rate=1e200).fit(gpt2, TEXT)

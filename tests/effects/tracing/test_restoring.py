"""Restored runs: their two ends, and hooks on the Hugging Face model, for every family."""

from itertools import product

import pytest
import torch
from support.independent.tracing import TracingOracle, batch_with_subjects, noisy_embeddings
from support.quick import quick_or_slow

from benchmark.effects.tracing.restoring import Restoration, own_logits, restored_logits
from benchmark.effects.tracing.schedule import Schedule, window
from benchmark.effects.tracing.trace import Restored, changed_trace, clean_trace
from benchmark.errors import UserError
from benchmark.forward.layers import embedded
from benchmark.forward.passes import clean_logits
from benchmark.meter import metering
from benchmark.models.family import family_named


@pytest.fixture(params=quick_or_slow(["last_subject", "all_subject", "last"], ["last_subject"]))
def where(request):
    return request.param


def ends(batch, where):
    start, stop = batch.subject.T
    if where == "last":
        return batch.read_at, batch.read_at + 1
    return (stop - 1 if where == "last_subject" else start), stop


def traces(model, batch, embeddings):
    clean = clean_trace(model, batch)
    return clean, changed_trace(model, batch, clean, embeddings, batch.subject[:, 0])


def tolerance(model):
    """Hugging Face's RMSNorm works in float32 inside a float64 model."""
    exact = family_named(model.hugging_face.config.model_type).exact_in_float64
    return dict(atol=1e-10 if exact else 1e-4, rtol=0)


def all_layers(model):
    return frozenset(range(model.shape.n_layers))


def test_a_clean_trace_is_the_clean_run(model):
    batch = batch_with_subjects()
    logits = clean_trace(model, batch).logits(model, batch.read_at)[0]
    torch.testing.assert_close(
        logits, clean_logits(model, batch.clean, batch.read_at), atol=1e-10, rtol=0
    )


def test_restoring_everything_is_the_clean_run_and_nothing_the_corrupted_run(model):
    batch = batch_with_subjects()
    embeddings = noisy_embeddings(model, batch)
    clean, corrupted = traces(model, batch, embeddings)
    wanted = clean_logits(model, batch.clean, batch.read_at)
    oracle = TracingOracle(model)
    for row, stream in enumerate(embeddings):
        for prompt, length in enumerate(batch.lengths.tolist()):
            tokens = batch.clean[prompt, :length]
            hooked = oracle.run(tokens, stream[prompt, :length])
            mine = corrupted.logits(model, batch.read_at)[row, prompt]
            torch.testing.assert_close(mine, hooked, **tolerance(model))
    # All states at once, of one layer, from the subject on.
    start, stop = batch.subject[:, 0], batch.read_at + 1
    for layer in range(model.shape.n_layers):
        asked = Restoration(Restored.state, (frozenset([layer]),), start, stop)
        found = restored_logits(model, batch, clean, corrupted, asked)[0]
        torch.testing.assert_close(found, wanted.expand_as(found), atol=1e-10, rtol=0)
    # Nothing at all: an empty range of positions, and an empty set of layers.
    for what in Restored:
        asked = Restoration(what, (all_layers(model),), start, start)
        found = restored_logits(model, batch, clean, corrupted, asked)[0]
        torch.testing.assert_close(
            found, corrupted.logits(model, batch.read_at), atol=1e-10, rtol=0
        )
        asked = Restoration(what, (frozenset(),) * len(embeddings), start, stop)
        found = own_logits(model, batch, clean, embeddings, asked, start)
        torch.testing.assert_close(
            found, corrupted.logits(model, batch.read_at), atol=1e-10, rtol=0
        )


@pytest.mark.parametrize("what", list(Restored))
def test_restored_runs_agree_with_hooks_on_hugging_face(model, what, where):
    batch = batch_with_subjects()
    embeddings = noisy_embeddings(model, batch)
    clean, corrupted = traces(model, batch, embeddings)
    n_layers = model.shape.n_layers
    sets = tuple(window(centre, width, n_layers) for width in (1, 2) for centre in range(n_layers))
    asked = Restoration(what, sets, *ends(batch, where))
    found = restored_logits(model, batch, clean, corrupted, asked)
    assert_agrees(model, batch, embeddings, asked, found)
    # A row for each set with an embedding of its own.
    many = embeddings.repeat_interleave(len(sets), 0)
    own = Restoration(what, sets * len(embeddings), asked.start, asked.stop)
    rows = own_logits(model, batch, clean, many, own, batch.subject[:, 0])
    rows = rows.unflatten(0, (len(embeddings), len(sets))).transpose(0, 1)
    torch.testing.assert_close(rows, found, atol=1e-10, rtol=0)


@pytest.mark.parametrize("severed", [Restored.attention, Restored.mlp])
@pytest.mark.parametrize("what", list(Restored))
def test_severed_runs_agree_with_hooks_on_hugging_face(models, what, severed):
    for name in ("gpt2", "gpt_neox", "gemma2"):
        model, batch = models[name], batch_with_subjects(n_prompts=3)
        embeddings = noisy_embeddings(model, batch, n_rows=1)
        clean, corrupted = traces(model, batch, embeddings)
        sets = tuple(frozenset([layer]) for layer in range(model.shape.n_layers))
        asked = Restoration(what, sets, *ends(batch, "last_subject"), severed)
        found = restored_logits(model, batch, clean, corrupted, asked)
        assert_agrees(model, batch, embeddings, asked, found)


def assert_agrees(model, batch, embeddings, asked, found):
    oracle, clean = TracingOracle(model), embedded(model, batch.clean)
    for prompt, length in enumerate(batch.lengths.tolist()):
        tokens, stream = batch.clean[prompt, :length], clean[prompt, :length]
        start, stop = int(asked.start[prompt]), int(asked.stop[prompt])
        for (row, noisy), (number, layers) in product(
            enumerate(embeddings), enumerate(asked.layers)
        ):
            wanted = oracle.restored(
                tokens, stream, noisy[prompt, :length], asked.what, layers, start, stop,
                asked.severed,
            )  # fmt: skip
            torch.testing.assert_close(found[number, row, prompt], wanted, **tolerance(model))


def test_windows_are_clipped_at_both_ends():
    assert window(0, 5, 6) == {0, 1, 2}
    assert window(5, 5, 6) == {3, 4, 5}
    assert window(3, 1, 6) == {3}
    assert window(3, 10, 48) == set(range(8))
    assert window(24, 10, 48) == set(range(19, 29))
    assert window(0, 9, 6) == {0, 1, 2, 3, 4}


def test_no_row_of_a_schedule_computes_what_another_does():
    sets = tuple(window(centre, 5, 8) for centre in range(8))
    schedule = Schedule.of(sets, 8)
    for layer, step in enumerate(schedule.steps):
        alive = [
            {index for index in chosen if index <= layer}
            for chosen in sets
            if any(index <= layer for index in chosen)
        ]
        distinct = {frozenset(one) for one in alive}
        assert len(step.parents) + step.joins == len(distinct)
    # The first three windows begin alike.
    assert [len(step.parents) + step.joins for step in schedule.steps[:4]] == [1, 2, 3, 5]
    assert len(set(schedule.ends)) == len(set(sets))


def test_batches_and_padding_change_nothing(gpt2):
    batch = batch_with_subjects(n_prompts=6)
    embeddings = noisy_embeddings(gpt2, batch)
    clean, corrupted = traces(gpt2, batch, embeddings)
    sets = tuple(frozenset([layer]) for layer in range(gpt2.shape.n_layers))
    asked = Restoration(Restored.mlp, sets, *ends(batch, "last_subject"))
    together = restored_logits(gpt2, batch, clean, corrupted, asked)
    for rows in (torch.tensor([3]), torch.tensor([5, 0])):
        some = batch.select(rows).trimmed()
        part = embeddings[:, rows, : some.n_positions]
        own_clean, own_corrupted = traces(gpt2, some, part)
        own = Restoration(Restored.mlp, sets, asked.start[rows], asked.stop[rows])
        alone = restored_logits(gpt2, some, own_clean, own_corrupted, own)
        torch.testing.assert_close(alone, together[:, :, rows], atol=1e-10, rtol=0)
    one_set = restored_logits(gpt2, batch, clean, corrupted, asked.of_rows(slice(1, 2)))
    torch.testing.assert_close(one_set[0], together[1], atol=1e-10, rtol=0)


def test_embeddings_get_the_gradient_that_finite_differences_give(gpt2):
    batch = batch_with_subjects(n_prompts=2)
    clean = clean_trace(gpt2, batch)
    start = noisy_embeddings(gpt2, batch, n_rows=2).requires_grad_()
    asked = Restoration(
        Restored.attention, (frozenset([0]), frozenset()), *ends(batch, "last_subject")
    )

    def total(embeddings):
        rows = own_logits(gpt2, batch, clean, embeddings, asked, batch.subject[:, 0])
        return rows.log_softmax(-1)[..., 3].sum()

    (gradient,) = torch.autograd.grad(total(start), start)
    direction = torch.zeros_like(start)
    direction[0, 1, int(batch.subject[1, 0])] = torch.randn(gpt2.shape.d_model, dtype=start.dtype)
    step = 1e-5 * direction
    measured = (total(start.detach() + step) - total(start.detach() - step)) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(), measured, rtol=1e-6, atol=1e-9)


def test_no_position_before_the_first_that_differs_is_computed(gpt2):
    batch = batch_with_subjects()
    embeddings = noisy_embeddings(gpt2, batch, n_rows=1)
    clean, corrupted = traces(gpt2, batch, embeddings)
    with metering() as spent:
        asked = Restoration(Restored.mlp, (frozenset([1]),), *ends(batch, "last"))
        restored_logits(gpt2, batch, clean, corrupted, asked)
    assert spent.forward == 0
    with metering() as spent:
        asked = Restoration(Restored.mlp, (frozenset([0]),), *ends(batch, "last"))
        restored_logits(gpt2, batch, clean, corrupted, asked)
    # One position of each prompt, through one of two layers.
    assert spent.forward == pytest.approx(0.5 * len(batch) / batch.n_positions)


def test_states_cannot_be_severed():
    nothing = torch.zeros(1, dtype=torch.long)
    with pytest.raises(UserError, match="states cannot be severed; give attention or mlp"):
        Restoration(Restored.state, (frozenset([0]),), nothing, nothing, Restored.state)


def test_what_positions_add_does_not_depend_on_the_token(model):
    """The token's own embedding is the stream before layer 0 without the learned positions."""
    tokens = torch.arange(12).view(2, 6)
    learned = model.weights.learned_positions
    stream = embedded(model, tokens)
    alone = stream if learned is None else stream - learned[:6]
    moved = torch.roll(tokens, 1, dims=1)
    other = embedded(model, moved)
    other = other if learned is None else other - learned[:6]
    torch.testing.assert_close(torch.roll(alone, 1, dims=1), other, atol=1e-12, rtol=0)

"""What each ablation puts in place of an absent edge."""

from dataclasses import replace

import pytest
import torch
from support.memory import LiveBytes
from support.prompts import random_batch
from support.values import largest, random_masks

from benchmark.ablations.contract import Ablation, Replacement
from benchmark.ablations.fixed import Mean, Zero
from benchmark.ablations.moments import clean_tokens, source_moments
from benchmark.ablations.noise import GaussianNoise
from benchmark.ablations.other_prompts import Counterfactual, Resample, derangement
from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.forward import memory
from benchmark.forward.passes import masked_logits, source_values
from benchmark.forward.values import for_length
from benchmark.meter import metering
from benchmark.prompts.batch import concatenate
from benchmark.seeds import generator


@pytest.mark.slow
@pytest.mark.parametrize("name", configured_names("ablation"))
@pytest.mark.parametrize("keep_first", [False, True])
def test_every_ablation_gives_values_that_run(model, name, keep_first):
    ablation = configured("ablation", name, keep_first=keep_first)
    assert isinstance(ablation, Ablation)
    replacement = ablation.fit(model, [random_batch(seed=1), random_batch(seed=2)])
    assert isinstance(replacement, Replacement)
    batch = random_batch(n_positions=11)
    values = replacement(batch)
    assert values.keep_first is keep_first
    logits = masked_logits(model, random_masks(model.graph, 2), batch, values)
    assert bool(logits.isfinite().all())
    again = replacement(batch)
    assert all(map(torch.equal, values.tensors, again.tensors))


@pytest.mark.parametrize("name", configured_names("ablation"))
def test_total_ablations_do_not_look_at_the_prompt(gpt2, name):
    """Changing a prompt's own tokens leaves its replacement as it was, unless it is partial."""
    ablation = configured("ablation", name)
    batch = random_batch(same_length=True)
    replacement = ablation.fit(gpt2, [batch])
    other = random_batch(same_length=True, seed=5)
    clean, corrupted = batch.clean.clone(), batch.corrupted.clone()
    clean[0], corrupted[0] = other.clean[0], other.corrupted[0]
    changed = type(batch)(
        clean, corrupted, batch.lengths, batch.read_at, batch.answers, batch.wrong, batch.ids
    )
    before, after = (replacement(b) for b in (batch, changed))

    def of_first(values):
        return values.heads[:, :, :, :1] if values.axes[1] > 1 else values.heads

    assert torch.equal(of_first(before), of_first(after)) is ablation.traits.total


def test_counterfactual_is_the_corrupted_run(gpt2):
    batch = random_batch()
    values = Counterfactual(keep_first=True).fit(gpt2, [])(batch)
    expected = source_values(gpt2, batch.corrupted)
    assert all(map(torch.equal, values.tensors, expected.tensors))


def test_zero_is_zero(gpt2):
    values = Zero(keep_first=True).fit(gpt2, [])(random_batch())
    assert not any(bool(x.any()) for x in values.tensors)
    assert values.axes == (1, 1, 1)


@pytest.mark.parametrize("counterfactual", [False, True])
@pytest.mark.parametrize("keep_first", [False, True])
def test_pooled_mean_counts_real_positions_once(gpt2, counterfactual, keep_first):
    batches = [random_batch(seed=1), random_batch(n_positions=5, seed=2)]
    mean = Mean(keep_first, positional=False, counterfactual=counterfactual)
    values = mean.fit(gpt2, batches)(batches[0])
    rows = []
    for batch in batches:
        tokens = batch.corrupted if counterfactual else batch.clean
        recorded = source_values(gpt2, tokens)
        for prompt, length in enumerate(batch.lengths.tolist()):
            rows.append(recorded.mlps[:, 0, prompt, int(keep_first) : length])
    assert largest(values.mlps[:, 0, 0, 0], torch.cat(rows, dim=1).mean(1)) < 1e-12


def test_positional_mean_pools_the_positions_that_not_every_prompt_has(gpt2):
    batches = [random_batch(seed=1), random_batch(n_positions=5, seed=2)]
    fitted = Mean(True, positional=True, counterfactual=False).fit(gpt2, batches)
    lengths = torch.cat([batch.lengths for batch in batches])
    shortest = int(lengths.min())
    rows = fitted(random_batch(n_positions=12))
    assert rows.axes == (1, 1, 12)
    recorded = [source_values(gpt2, batch.clean).mlps[:, 0] for batch in batches]
    pairs = [(r[:, p], n) for r, b in zip(recorded, batches, strict=True)
             for p, n in enumerate(b.lengths.tolist())]  # fmt: skip
    for position in range(1, shortest):
        own = torch.stack([r[:, position] for r, _ in pairs]).mean(0)
        assert largest(rows.mlps[:, 0, 0, position], own) < 1e-12
    late = torch.cat([r[:, shortest:n] for r, n in pairs], dim=1).mean(1)
    for position in range(shortest, 12):
        assert largest(rows.mlps[:, 0, 0, position], late) < 1e-12


def test_positional_mean_of_equal_lengths_is_the_mean_per_position(gpt2):
    batch = random_batch(same_length=True)
    values = Mean(False, positional=True, counterfactual=False).fit(gpt2, [batch])(batch)
    expected = source_values(gpt2, batch.clean).heads.mean(-3, keepdim=True)
    assert largest(values.heads, expected) < 1e-12


def test_means_do_not_depend_on_padding(gpt2):
    batch, longer = random_batch(n_positions=5), random_batch(n_positions=9, seed=1)
    for positional in (False, True):
        mean = Mean(True, positional, counterfactual=False)
        a, b = (mean.fit(gpt2, [x])(longer) for x in (batch, batch.padded(7)))
        assert all(largest(x, y) < 1e-12 for x, y in zip(a.tensors, b.tensors, strict=True))


def test_moments_do_not_depend_on_batching(gpt2):
    batches = [random_batch(seed=s) for s in range(3)]
    together = [concatenate(batches)]
    for positional in (False, True):
        options = dict(positional=positional, keep_first=True)
        a = source_moments(gpt2, batches, clean_tokens, **options)
        b = source_moments(gpt2, together, clean_tokens, **options)
        for x, y in ((a.mean, b.mean), (a.deviation, b.deviation)):
            assert all(largest(s, t) < 1e-7 for s, t in zip(x.tensors, y.tensors, strict=True))
    with pytest.raises(UserError, match="at least one prompt"):
        source_moments(gpt2, [], clean_tokens, **options)


@pytest.mark.slow
def test_many_prompts_are_fitted_in_the_memory_of_a_pass(gpt2, monkeypatch):
    """Six budgets' worth of prompts: several passes, the moments of one, no more than a budget."""
    budget, batch = 4e5, random_batch(n_prompts=160, n_positions=12)
    record = sum(x.numel() * 8 for x in source_values(gpt2, batch.clean).tensors)
    options = dict(positional=True, keep_first=True)

    def fitted(most_bytes):
        monkeypatch.setattr(memory, "MOST_BYTES", most_bytes)
        with LiveBytes() as bytes_, metering() as cost:
            found = source_moments(gpt2, [batch], clean_tokens, **options)
        assert cost.forward == len(batch)
        return found, bytes_.peak

    one_pass, most = fitted(1e9)
    streamed, peak = fitted(budget)
    assert record > 6 * budget and most > 3 * record
    assert peak <= 1.25 * budget, peak
    for a, b in ((streamed.mean, one_pass.mean), (streamed.deviation, one_pass.deviation)):
        assert all(largest(x, y) < 1e-12 for x, y in zip(a.tensors, b.tensors, strict=True))


def test_rows_are_cut_and_extended(gpt2):
    rows = Mean(False, True, False).fit(gpt2, [random_batch(same_length=True)])(random_batch())
    assert torch.equal(for_length(rows, 3).mlps, rows.mlps[..., :3, :])
    assert torch.equal(for_length(rows, 10).mlps[..., 9, :], rows.mlps[..., 7, :])


@pytest.mark.parametrize("keep_first", [False, True])
def test_positional_resample_takes_a_donor_aligned_at_the_end(gpt2, keep_first):
    batch = random_batch(n_prompts=6)
    resample = Resample(keep_first, positional=True, seed=3)
    values = resample.fit(gpt2, [])(batch)
    donors = derangement(6, generator(3, "resample", 0, *batch.ids))
    recorded = source_values(gpt2, batch.clean).mlps
    for prompt, donor in enumerate(donors.tolist()):
        own, others = int(batch.lengths[prompt]), int(batch.lengths[donor])
        for position in range(int(keep_first), own):
            source = max(position + others - own, min(int(keep_first), others - 1))
            got = values.mlps[:, 0, prompt, position]
            assert torch.equal(got, recorded[:, 0, donor, source])


@pytest.mark.parametrize("keep_first", [False, True])
def test_agnostic_resample_shuffles_the_donors_real_positions(gpt2, keep_first):
    batch = random_batch(n_prompts=6)
    values = Resample(keep_first, positional=False, seed=3).fit(gpt2, [])(batch)
    donors = derangement(6, generator(3, "resample", 0, *batch.ids))
    recorded = source_values(gpt2, batch.clean).mlps[0, 0]
    first = int(keep_first)
    for prompt, donor in enumerate(donors.tolist()):
        n = int(batch.lengths[donor]) - first
        taken = values.mlps[0, 0, prompt, :n]
        real = recorded[donor, first : first + n]
        order = [int((real == row).all(1).nonzero()[0]) for row in taken]
        assert sorted(order) == list(range(n))


def test_draws_are_repeatable_and_differ(gpt2):
    batch = random_batch(n_prompts=8)
    for ablation in (
        Resample(True, False, 0),
        Resample(True, True, 0),
        GaussianNoise(True, 1.0, 0),
    ):
        replacement = ablation.fit(gpt2, [batch])
        assert torch.equal(replacement(batch, 1).mlps, replacement(batch, 1).mlps)
        assert not torch.equal(replacement(batch, 1).mlps, replacement(batch, 2).mlps)


def test_derangements_have_no_fixed_point_and_are_all_drawn():
    seen = set()
    for seed in range(200):
        order = derangement(4, torch.Generator().manual_seed(seed))
        assert not bool((order == torch.arange(4)).any())
        seen.add(tuple(order.tolist()))
    assert len(seen) == 9
    with pytest.raises(UserError, match="a batch has one prompt"):
        derangement(1, torch.Generator())


def test_noise_is_scaled_by_each_coordinates_deviation(gpt2):
    batch = random_batch(n_prompts=400, same_length=True)
    moments = source_moments(gpt2, [batch], clean_tokens, positional=False, keep_first=True)
    noisy = GaussianNoise(True, scale=2.0, seed=0).fit(gpt2, [batch])(batch)
    clean = source_values(gpt2, batch.clean)
    for got, base, deviation in zip(
        noisy.tensors, clean.tensors, moments.deviation.tensors, strict=True
    ):
        spread = (got - base).flatten(-3, -2).std(-2)
        expected = 2 * deviation[..., 0, 0, :]
        assert float((spread / expected - 1).abs().max()) < 0.1
        assert float((got - base).mean().abs()) < 0.05 * float(expected.mean())


def test_noise_does_not_depend_on_padding_or_company(gpt2):
    batch = random_batch()
    replacement = GaussianNoise(True, 1.0, 0).fit(gpt2, [batch])
    whole, padded = replacement(batch), replacement(batch.padded(12, token=3))
    for prompt, alone in enumerate(batch.split(1)):
        n = int(batch.lengths[prompt])
        expected = whole.mlps[:, :, prompt, :n]
        assert largest(padded.mlps[:, :, prompt, :n], expected) < 1e-6
        assert largest(replacement(alone).mlps[:, :, 0, :n], expected) < 1e-6


@pytest.mark.parametrize("positional", [False, True])
@pytest.mark.parametrize("keep_first", [False, True])
def test_resampling_from_the_shortest_prompts(gpt2, positional, keep_first):
    batch = random_batch(n_prompts=5, n_positions=3)
    short = replace(batch, lengths=torch.ones(5).long(), read_at=torch.zeros(5).long())
    values = Resample(keep_first, positional, seed=0).fit(gpt2, [])(short)
    assert bool(values.heads.isfinite().all())


@pytest.mark.parametrize("name", configured_names("ablation"))
def test_traits_are_what_the_ablation_does(gpt2, name):
    """Each trait that shows in the values, seen in them."""
    ablation, batch = configured("ablation", name), random_batch(same_length=True)
    replacement = ablation.fit(gpt2, [batch, random_batch(seed=7)])
    values, traits = replacement(batch), ablation.traits
    spread = max(float((x - x[..., -1:, :]).abs().max()) for x in values.tensors)
    # Learned constants begin at a mean, whose last row stands for all positions if not positional.
    assert (spread > 0) is traits.by_position
    other_draw = replacement(batch, 1)
    changed = any(map(lambda a, b: not torch.equal(a, b), values.tensors, other_draw.tensors))
    assert changed is traits.random
    assert traits.zero is all(bool((x == 0).all()) for x in values.tensors)
    corrupted = source_values(gpt2, batch.corrupted)
    assert traits.from_corrupted is all(map(torch.equal, values.tensors, corrupted.tensors))
    assert traits.trained is hasattr(ablation, "train")
    alone = batch.split(1)[0]
    if traits.needs_donors:
        with pytest.raises(UserError, match="donors"):
            replacement(alone)
    else:
        replacement(alone)

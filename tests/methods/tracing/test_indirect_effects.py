"""Average indirect effects, their two intervals, and how sharply facts are placed."""

import numpy as np
import pytest

from methods.tracing.indirect_effects import (
    Lost,
    effective_layers,
    interval,
    largest_effect,
    neighbour_difference,
    top_share,
)
from methods.tracing.tokens import token_kinds


def simulated(n_facts=150, n_draws=4, effects=(0.1, 0.5, 0.9), seed=0):
    """Facts of which each place brings back about a known share."""
    random = np.random.default_rng(seed)
    clean = random.uniform(0.4, 1.0, n_facts)
    corrupted = clean * random.uniform(0, 0.3, (n_draws, n_facts))
    back = np.array(effects)[:, None] + random.normal(0, 0.15, (n_draws, len(effects), n_facts))
    restored = corrupted[:, None] + np.clip(back, 0, 1) * (clean - corrupted)[:, None]
    return clean, restored, corrupted


def test_an_effect_is_the_share_of_the_lost_probability_that_comes_back():
    clean = np.array([0.8, 0.6])
    corrupted = np.array([[0.2, 0.2]])
    restored = np.array([[[0.2, 0.2], [0.8, 0.6], [0.5, 0.4], [0.9, 0.2]]])
    found = Lost.of(clean, restored, corrupted).effects()
    # The last regains more than all of one fact, which does not make up for the other.
    np.testing.assert_allclose(found, [0, 1, 0.5, 1 - 0.2 / 0.5])


def test_where_corruption_takes_nothing_there_is_no_effect():
    clean, nothing = np.array([0.5, 0.5]), np.array([[0.5, 0.6]])
    lost = Lost.of(clean, np.array([[[0.4, 0.5]]]), nothing)
    assert np.isnan(lost.effects()).all()
    assert np.isnan(lost.delta_interval()).all()


def test_the_delta_method_agrees_with_the_bootstrap():
    lost = Lost.of(*simulated())
    delta, boot = lost.delta_interval(), interval(lost.resampled())
    widths = [high - low for low, high in (delta, boot)]
    np.testing.assert_allclose(widths[0], widths[1], rtol=0.15)
    for end in (0, 1):
        np.testing.assert_allclose(delta[end], boot[end], atol=0.2 * widths[0].max())


def test_both_intervals_hold_the_truth_as_often_as_they_say():
    # With one draw and many simulations, about 95 of 100.
    truth = Lost.of(*simulated(100_000, 1)).effects()
    holds = np.zeros((2, 3))
    for seed in range(60):
        lost = Lost.of(*simulated(60, 1, seed=seed + 1))
        for row, (low, high) in enumerate((lost.delta_interval(), interval(lost.resampled()))):
            holds[row] += (low <= truth) & (truth <= high)
    assert (holds >= 50).all()


def test_resamples_are_the_same_wherever_they_are_drawn():
    lost = Lost.of(*simulated(20))
    assert np.array_equal(lost.resampled(), Lost.of(*simulated(20)).resampled())


def test_sharpness_of_one_layer_and_of_all():
    one, all_alike = np.array([[0.0, 0.8, -0.3, 0.0]]), np.full((1, 4), 0.2)
    assert top_share(one) == top_share(one * 0.5) == pytest.approx(1)
    assert effective_layers(one) == pytest.approx(1)
    assert effective_layers(all_alike) == pytest.approx(4)
    assert top_share(all_alike) == pytest.approx(0.25)
    assert largest_effect(one) == pytest.approx(0.8)
    assert neighbour_difference(one) == pytest.approx((0.8 + 1.1 + 0.3) / 3)
    assert neighbour_difference(all_alike) == pytest.approx(0)
    # Two layers that share the effect evenly count as two.
    assert effective_layers(np.array([[0.3, 0.3, 0.0]])) == pytest.approx(2)


def test_every_token_from_the_subject_on_has_a_kind():
    assert token_kinds(2, 6, 9) == {
        2: "first subject", 3: "middle subject", 4: "middle subject", 5: "last subject",
        6: "first further", 7: "further", 8: "further", 9: "last",
    }  # fmt: skip
    assert token_kinds(1, 2, 3) == {1: "last subject", 2: "first further", 3: "last"}
    assert token_kinds(1, 3, 3) == {1: "first subject", 2: "last subject", 3: "last"}
    # A prompt that ends with its subject.
    assert token_kinds(3, 5, 4) == {3: "first subject", 4: "last subject"}

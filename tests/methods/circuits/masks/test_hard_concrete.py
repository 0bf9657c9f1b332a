"""The hard-concrete distribution: its draws, its gradient, and how gates are read off."""

import pytest
import torch
from support.values import largest

from methods.circuits.masks.hard_concrete import (
    HIGH,
    LOW,
    TEMPERATURE,
    deterministic,
    discrete,
    gates,
    log_alpha_of,
    probability_nonzero,
)

LOG_ALPHAS = torch.tensor([-2.0, -0.5, 0.0, 0.7, 2.5])


def noise(rows):
    draw = torch.Generator().manual_seed(0)
    return torch.rand(rows, len(LOG_ALPHAS), generator=draw).logit(1e-6)


@pytest.mark.parametrize("temperature", [TEMPERATURE, 0.3, 1.4])
def test_draws_are_0_and_1_as_often_and_as_large_as_the_formulas_say(temperature):
    drawn = gates(noise(200_000), LOG_ALPHAS, temperature)
    some = probability_nonzero(LOG_ALPHAS, temperature)
    assert largest((drawn > 0).float().mean(0), some) < 0.004
    # A draw is 1 as often as one with the opposite log-alpha is 0.
    assert (
        largest((drawn == 1).float().mean(0), 1 - probability_nonzero(-LOG_ALPHAS, temperature))
        < 0.004
    )
    # The mean is the integral of the probability of more than x.
    x = (torch.arange(20_000)[:, None] + 0.5) / 20_000
    more = (LOG_ALPHAS - temperature * ((x - LOW) / (HIGH - LOW)).logit()).sigmoid()
    assert largest(drawn.mean(0), more.mean(0)) < 0.004


def test_the_authors_stretch_of_hcgs_is_a_little_lower():
    standard = gates(noise(1000), LOG_ALPHAS)
    lower = gates(noise(1000), LOG_ALPHAS, low=1.2 * LOW)
    inside = (standard > 0.02) & (standard < 1)
    assert largest(standard[inside] - 0.02, lower[inside]) < 1e-6


def test_the_gradient_of_a_draw_is_its_slope():
    log_alpha = LOG_ALPHAS.double().requires_grad_()
    fixed, step = noise(500).double(), 1e-6
    gates(fixed, log_alpha).sum(0).backward(torch.ones(len(LOG_ALPHAS)))
    with torch.no_grad():
        slope = (gates(fixed, log_alpha + step) - gates(fixed, log_alpha - step)).sum(0) / (
            2 * step
        )
    assert largest(log_alpha.grad, slope) < 1e-3


def test_the_start_is_where_it_is_said_to_be():
    middle = gates(torch.zeros(1), torch.tensor([log_alpha_of(0.9)]), temperature=1.0)
    assert float(middle) == pytest.approx(0.9)


@pytest.mark.parametrize("seed", range(5))
def test_the_readout_hits_the_expected_sparsity(seed):
    """Zeros as expected, and gates on as many as the values sum to: within 1 of either."""
    log_alpha = 4 * torch.randn(300, generator=torch.Generator().manual_seed(seed)) - 1
    values = deterministic(log_alpha)
    n_zeros = float((1 - probability_nonzero(log_alpha)).sum())
    assert abs(int((values == 0).sum()) - n_zeros) <= 0.5
    assert float(values[values == 0].numel()) and bool((values <= 1).all())
    kept = discrete(log_alpha)
    assert abs(float(kept.float().mean() - values.mean())) <= 0.5 / len(log_alpha) + 1e-6
    assert float(log_alpha[kept].min()) >= float(log_alpha[~kept].max())


def test_the_ends_of_the_readout():
    assert bool(discrete(torch.full((7,), 20.0)).all())
    assert not bool(discrete(torch.full((7,), -20.0)).any())
    # Values that float32 cannot tell apart are still told apart by their log-alphas.
    assert discrete(torch.tensor([40.0, 50.0, -2.0, -3.0, 60.0])).tolist()[4]

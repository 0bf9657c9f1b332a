"""k-winner-take-all: masks of exactly k units, with the gradient of soft weights."""

import pytest
import torch

from benchmark.pretraining.self_ablation.winners import Soft, Winners

RULES = [(Soft.sigmoid, 0.1), (Soft.sigmoid, 1.0), (Soft.softmax, 0.1), (Soft.softmax, 1.0)]


def scores(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("k", [1, 4, 19])
@pytest.mark.parametrize(("soft", "temperature"), RULES)
def test_a_hard_mask_is_one_at_the_k_highest_scores(soft, temperature, k):
    found = scores(3, 5, 20)
    mask = Winners(soft, temperature, hard=True).mask(found, k)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert (mask.sum(-1) == k).all()
    lowest_on = found.masked_fill(mask == 0, float("inf")).amin(-1)
    assert (lowest_on > found.masked_fill(mask == 1, -float("inf")).amax(-1)).all()


def test_equal_scores_still_leave_k_units_on():
    equal = torch.zeros(2, 20, dtype=torch.float64)
    assert (Winners(Soft.sigmoid, 0.1, hard=True).mask(equal, 3).sum(-1) == 3).all()
    weights = Winners(Soft.sigmoid, 0.1, hard=False).mask(equal, 3)
    assert torch.allclose(weights, torch.full_like(weights, 3 / 20))


@pytest.mark.parametrize(("soft", "temperature"), RULES)
def test_soft_weights_are_those_of_the_formula(soft, temperature):
    found = scores(20)
    ordered = found.sort(descending=True).values.tolist()
    middle, gap = (ordered[3] + ordered[4]) / 2, ordered[3] - ordered[4]
    distance = (found - middle) / (temperature * gap)
    by_hand = {Soft.sigmoid: 1 / (1 + torch.exp(-distance)), Soft.softmax: torch.exp(distance)}
    total = {Soft.sigmoid: 4.0, Soft.softmax: 1.0}[soft]
    expected = total * by_hand[soft] / by_hand[soft].sum()
    weights = Winners(soft, temperature, hard=False).mask(found, 4)
    assert torch.allclose(weights, expected, rtol=1e-9)
    assert weights.sum().item() == pytest.approx(total)


@pytest.mark.parametrize(("soft", "temperature"), RULES)
def test_the_gradient_of_a_hard_mask_is_that_of_soft_weights(soft, temperature):
    weight, step = scores(2, 12), 1e-6

    def soft_total(at):
        return (Winners(soft, temperature, hard=False).mask(at, 3) * weight).sum()

    at = scores(2, 12).flip(0).requires_grad_()
    (Winners(soft, temperature, hard=True).mask(at, 3) * weight).sum().backward()
    for place in ((0, 0), (0, 7), (1, 3), (1, 11)):
        shift = torch.zeros_like(at).index_put(
            tuple(map(torch.tensor, place)), torch.tensor(step).double()
        )
        slope = (soft_total(at.detach() + shift) - soft_total(at.detach() - shift)) / (2 * step)
        assert at.grad[place].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-6)

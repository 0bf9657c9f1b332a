"""Masks that stand still while constants learn."""

import pytest
import torch

from benchmark.errors import UserError
from benchmark.training.sampler import FixedMasks, MaskSampler


def test_fixed_masks_are_the_same_at_every_step_and_free():
    masks = FixedMasks(torch.rand(3, 4, 5, requires_grad=True))
    assert isinstance(masks, MaskSampler) and masks.n_masks == 3
    first = masks.sample(0)
    masks.update()
    assert torch.equal(first, masks.sample(7)) and masks.price() == 0


def test_constants_of_other_masks_are_not_continued():
    masks = FixedMasks(torch.rand(1, 2, 2))
    masks.restore(FixedMasks(masks.masks.clone()).state())
    with pytest.raises(UserError, match="was made for other masks"):
        masks.restore(FixedMasks(masks.masks + 0.1).state())

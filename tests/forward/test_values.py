"""Values of several sets, shared out among masks."""

import pytest
import torch

from benchmark.errors import UserError
from benchmark.forward.values import for_masks, zero_values


def sets_of(model, n_sets):
    numbers = torch.arange(float(n_sets))[:, None, None, None]
    zeros = zero_values(model.shape, keep_first=True)
    return zeros.map(lambda x: x.expand(*x.shape[:-4], n_sets, *x.shape[-3:]) + numbers)


def test_each_set_serves_equally_many_neighbouring_masks(gpt2):
    shared = for_masks(sets_of(gpt2, 2), 6)
    for tensor in shared.tensors:
        of_masks = tensor.movedim(-4, 0).flatten(1)
        assert of_masks[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    for n_sets in (1, 6):
        assert for_masks(sets_of(gpt2, n_sets), 6).axes[0] == n_sets


def test_sets_that_cannot_be_shared_out_are_refused(gpt2):
    with pytest.raises(UserError, match="4 sets of constants cannot serve 6 masks evenly"):
        for_masks(sets_of(gpt2, 4), 6)

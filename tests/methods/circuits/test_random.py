"""Random circuits: their sizes, and that they hang together."""

import pytest
import torch
from support.problems import problem

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.graph.mask import Pruning


def test_random_circuits_fit_their_sizes_and_hang_together(gpt2):
    random = configured("method", "random", circuits_per_size=6, tolerance=0.1)
    sizes = [0, 30, 60, 100, gpt2.graph.n_edges]
    found = random.discover(problem(gpt2), sizes)
    for size in sizes:
        masks = [circuit.mask for circuit in found if circuit.requested_size == size]
        assert len(masks) == 6
        for mask in masks:
            assert max(min(size, 1), 0.9 * size) <= mask.size <= size
            assert torch.equal(mask.pruned(Pruning.dangling).keep, mask.keep)
    middle = [circuit.mask.edges() for circuit in found if circuit.requested_size == 60]
    assert len({tuple(edges) for edges in middle}) == 6
    fewer = random.discover(problem(gpt2), [60])
    assert fewer[0].mask.edges() == middle[0]


@pytest.mark.parametrize("changes", [dict(circuits_per_size=0), dict(tolerance=1.0)])
def test_random_settings_out_of_range_are_refused(changes):
    with pytest.raises(UserError, match="circuits_per_size must be 1 or more"):
        configured("method", "random", **changes)

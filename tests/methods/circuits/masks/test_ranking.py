"""How edges rank by masks that were trained at several prices or targets."""

import pytest
import torch
from support.problems import training_problem

from benchmark.config import configured

PRICES = dict(prices=[0.003, 0.03], steps=40)
TARGETS = dict(targets=[0.3, 0.8], steps=40, initial_log_alpha=1.0)
METHODS = {
    "ugs": dict(PRICES, learning_rate=0.3, masks_per_step=4),
    "hcgs": dict(PRICES, learning_rate=0.3, masks_per_step=4),
    "subnetwork_probing": dict(prices=[0.1, 0.5], steps=40, learning_rate=0.3),
    "subnetwork_probing_edges": dict(prices=[1.0, 10.0], steps=40, learning_rate=0.3),
    "edge_pruning": dict(TARGETS, component_masks=True),
    "hap": dict(TARGETS, share=0.8),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_an_edge_ranks_by_the_smallest_circuit_that_keeps_it(planted, name):
    """Kept edges of equal circuits, and edges that no circuit has, are told apart too."""
    found = configured("method", name, **METHODS[name]).discover(training_problem(planted), [])
    large, small = (circuit.mask.keep > 0 for circuit in found)
    assert 0 < int(small.sum()) < int(large.sum()) < planted.graph.n_edges
    value, exists = found.scores[""].value, planted.graph.exists
    levels = [value[small], value[large & ~small], value[exists & ~large & ~small]]
    for number, level in zip((2, 1, 0), levels, strict=True):
        assert bool(((level >= number) & (level <= number + 0.5)).all())
    assert len(value[exists].unique()) > 3
    assert torch.equal(found.scores[""].top(int(small.sum())).keep > 0, small)
    assert not bool(value[~exists].any())

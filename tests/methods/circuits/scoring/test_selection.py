"""A size gives the longest prefix of the ranked neurons that fits it."""

import pytest
import torch

from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask
from methods.circuits.scoring.selection import neuron_circuits


def weighted_by_hand(graph, kept, d_model):
    """Over the names of edges: the share of neurons of each source that has some."""
    whole = EdgeMask.full(graph).edges()
    share = {name: len(kept.get(name, ())) / d_model for name in graph.sources}
    alive = {"logits", *(name for name in graph.sources if share[name])}
    ends = [edge.split("->") for edge in whole]
    return sum(share[u] for u, v in ends if v.split("<")[0] in alive)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("parallel", [False, True])
def test_a_size_gives_the_longest_prefix_within_it(absolute, parallel):
    graph, d_model = ComputationalGraph(2, 2, parallel), 4
    scores = torch.randn(graph.n_sources, d_model, generator=torch.Generator().manual_seed(3))
    importance = scores.abs() if absolute else scores
    ranked = sorted(
        ((u, d) for u in range(graph.n_sources) for d in range(d_model)),
        key=lambda pair: -importance[pair],
    )
    counts = []
    for n in range(len(ranked) + 1):
        kept = {}
        for u, d in ranked[:n]:
            kept.setdefault(graph.sources[u], set()).add(d)
        counts.append(weighted_by_hand(graph, kept, d_model))
    assert counts == sorted(counts) and counts[-1] == graph.n_edges
    sizes = list(range(graph.n_edges + 1))
    for size, found in zip(sizes, neuron_circuits(graph, scores, sizes, absolute), strict=True):
        longest = max(n for n, count in enumerate(counts) if count <= size + 1e-9)
        assert found.setting == f"size={size}, neurons={longest}" and found.requested_size == size
        assert found.size == pytest.approx(counts[longest])
        assert set(map(tuple, found.neurons.nonzero().tolist())) == set(ranked[:longest])

"""The ranking of edges that circuits imply."""

import pytest
import torch
from support.made.mib import GRAPH, random_scores

from benchmark.graph.mask import EdgeMask
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import FoundCircuits


def found(*masks):
    return [FoundCircuit(mask, f"price={number}") for number, mask in enumerate(masks)]


@pytest.mark.parametrize("likely", [None, torch.rand(3, *GRAPH.exists.shape)])
def test_the_ranking_of_nested_circuits_has_each_of_them_at_its_size(likely):
    order = random_scores(GRAPH)
    circuits = found(*(order.top(size) for size in (9, 5, 2)))
    scores = FoundCircuits.ranked(circuits, likely).scores[""]
    for one in circuits:
        assert torch.equal(scores.top(one.size).keep, one.mask.keep)


def test_an_edge_ranks_by_its_last_circuit_and_then_by_its_mean_probability():
    first, second, third, never, likelier = GRAPH.exists.nonzero().tolist()[:5]
    names = {i: GRAPH.edge_name(*edge) for i, edge in enumerate((first, second, third))}
    wide = EdgeMask.of_edges(GRAPH, [names[0], names[1]])
    narrow = EdgeMask.of_edges(GRAPH, [names[0], names[2]])
    probabilities = torch.zeros(2, *GRAPH.exists.shape)
    for edge, likely in ((first, 0.6), (third, 1.0), (second, 1.0), (likelier, 0.5)):
        probabilities[:, edge[0], edge[1]] = likely
    scores = FoundCircuits.ranked(found(wide, narrow), probabilities).scores[""]
    values = [scores.value[tuple(edge)] for edge in (third, first, second, likelier, never)]
    assert torch.stack(values).tolist() == pytest.approx([2.5, 2.3, 1.5, 0.25, 0.0])
    counted = FoundCircuits.ranked(found(wide, narrow)).scores[""]
    values = [counted.value[tuple(edge)] for edge in (first, third, second, never)]
    assert torch.stack(values).tolist() == [2.5, 2.25, 1.25, 0.0]


def test_without_circuits_nothing_is_ranked():
    assert FoundCircuits.ranked([]).scores == {}

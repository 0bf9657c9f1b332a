"""Circuits as methods give them back."""

import pytest
import torch

from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask
from benchmark.method.circuits import FoundCircuit, stacked_neurons


def test_an_edge_counts_as_the_share_of_neurons_that_it_keeps(gpt2):
    graph, d_model = gpt2.graph, gpt2.shape.d_model
    whole = FoundCircuit(EdgeMask.full(graph), "all")
    assert whole.size == graph.n_edges
    neurons = torch.zeros(graph.n_sources, d_model, dtype=torch.float64)
    neurons[:, : d_model // 2] = 0.5
    assert FoundCircuit(whole.mask, "half", neurons=neurons).size == graph.n_edges / 2
    assert FoundCircuit(EdgeMask.empty(graph), "none", neurons=neurons).size == 0
    neurons[1:] = 0
    from_input = int(graph.exists[0].sum())
    assert FoundCircuit(whole.mask, "input", neurons=neurons).size == from_input / 2


def test_a_circuit_moves_with_its_neurons(gpt2):
    neurons = torch.ones(gpt2.graph.n_sources, gpt2.shape.d_model, requires_grad=True)
    found = FoundCircuit(EdgeMask.full(gpt2.graph), "all", 7, neurons).on("cpu")
    assert torch.equal(found.neurons, neurons) and not found.neurons.requires_grad
    assert (found.setting, found.requested_size) == ("all", 7)


def test_either_all_circuits_say_which_neurons_they_keep_or_none(gpt2):
    neurons = torch.ones(gpt2.graph.n_sources, gpt2.shape.d_model)
    plain = FoundCircuit(EdgeMask.full(gpt2.graph), "plain")
    fine = FoundCircuit(EdgeMask.full(gpt2.graph), "fine", neurons=neurons)
    assert stacked_neurons([plain, plain]) is None and stacked_neurons([]) is None
    assert torch.equal(stacked_neurons([fine, fine]), torch.stack([neurons, neurons]))
    with pytest.raises(UserError, match="1 of 2 circuits say which neurons they keep"):
        stacked_neurons([plain, fine])

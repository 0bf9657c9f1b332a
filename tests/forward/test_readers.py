"""Passes at other embeddings, and what readers make of their inputs."""

import pytest
import torch
from support.prompts import random_batch
from support.values import largest

from benchmark.effects.nodes.patching import run_of_sites
from benchmark.forward.layers import embedded
from benchmark.forward.passes import clean_logits, logits_of_inputs
from benchmark.forward.readers import reader_activations
from benchmark.transformer.sites import Site


def test_logits_of_inputs_are_those_of_the_prompts_at_their_own_embeddings(model):
    batch, other = random_batch(), random_batch(seed=1)
    inputs = torch.stack([embedded(model, tokens) for tokens in (batch.clean, other.clean)])
    logits = logits_of_inputs(model, inputs.requires_grad_(), batch)
    assert largest(logits[0], clean_logits(model, batch.clean, batch.read_at)) < 1e-12
    (gradient,) = torch.autograd.grad(logits[1].sum(), inputs)
    assert bool((gradient[0] == 0).all()) and bool((gradient[1] != 0).any())


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_activations_come_in_the_order_of_readers_a_head_for_each(models, family):
    model, batch = models[family], random_batch()
    logits, activations = reader_activations(model, batch.clean, batch.read_at)
    assert largest(logits, clean_logits(model, batch.clean, batch.read_at)) < 1e-12
    heads = [len(x) for x in activations]
    assert heads == [*[model.shape.n_heads] * 3, 1] * model.shape.n_layers
    assert sum(heads) == model.graph.n_destinations - 1
    assert all(x is not None for x in torch.autograd.grad(logits.sum(), activations))


def test_activations_are_those_at_their_sites(gpt2):
    """GPT-2 does not turn queries and keys by their position."""
    batch = random_batch()
    sites, _, _ = run_of_sites(gpt2, batch.clean)
    _, activations = reader_activations(gpt2, batch.clean, batch.read_at)
    for layer, at in enumerate(sites.layers):
        for offset, site in enumerate((Site.q, Site.k, Site.v)):
            assert largest(activations[4 * layer + offset], at[site]) == 0

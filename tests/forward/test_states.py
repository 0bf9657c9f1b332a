"""States between layers against Hugging Face's, and the layers' MLPs alone against the model."""

import torch
from support.prompts import random_batch
from support.values import largest

from benchmark.forward.layers import unembedded
from benchmark.forward.passes import clean_logits
from benchmark.forward.states import (
    states_at,
    streams,
    without_attention,
    without_attention_from_each,
)


def read_places(batch):
    return torch.arange(batch.n_positions) == batch.read_at[:, None]


def test_states_are_the_hidden_states_of_hugging_face(model):
    batch = random_batch()
    states = states_at(model, batch.clean, batch.real)
    hidden = model.hugging_face(batch.clean, output_hidden_states=True).hidden_states
    # The last of Hugging Face's hidden states has passed the final norm.
    for ours, theirs in zip(states.before[:-1], hidden[:-1], strict=True):
        assert largest(ours, theirs[batch.real]) < 1e-4
    logits = unembedded(model, states.before[-1])
    assert largest(logits, clean_logits(model, batch.clean)[batch.real]) < 1e-10


def test_with_its_own_attention_every_start_layer_ends_where_the_model_does(model):
    batch = random_batch()
    states = states_at(model, batch.clean, read_places(batch))

    def own(layer):
        return states.attention[layer][None]

    ends = without_attention_from_each(model, states.before[:-1], own)
    assert largest(ends, states.before[-1].expand_as(ends)) < 1e-10
    for layer in range(model.shape.n_layers + 1):
        alone = without_attention(model, states.before[layer][None], layer, own)
        assert largest(alone[0], states.before[-1]) < 1e-10


def test_each_start_layer_gets_its_own_row_of_constants(model):
    n_layers, d_model = model.shape.n_layers, model.shape.d_model
    states = states_at(model, random_batch().clean, read_places(random_batch()))
    draw = torch.Generator().manual_seed(0)
    rows = [
        torch.randn(layer + 1, 1, d_model, generator=draw, dtype=torch.float64)
        for layer in range(n_layers)
    ]
    together = without_attention_from_each(model, states.before[:-1], lambda k: rows[k])
    for start in range(n_layers):
        alone = without_attention(
            model, states.before[start][None], start, lambda k, s=start: rows[k][s : s + 1]
        )
        assert largest(together[start], alone[0]) < 1e-12


def test_streams_carry_gradients_from_the_end_to_every_layer(gpt2):
    tokens = random_batch(same_length=True).clean
    *before, final = streams(gpt2, tokens)
    gradients = torch.autograd.grad(final[0, 0, 0, -1].sum(), before)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    # Other prompts are other worlds.
    assert all(gradient[0, 0, 1:].abs().sum() == 0 for gradient in gradients)

"""Gates read what they should, and both streams' losses are what they are called."""

import pytest
import torch

from benchmark.pretraining.self_ablation.gates import Gates
from benchmark.pretraining.self_ablation.model import (
    SelfAblatingModel,
    live_fractions,
    reconstruction,
)
from benchmark.pretraining.self_ablation.streams import clean_stream
from benchmark.pretraining.self_ablation.winners import Soft, Winners

HARD = Winners(Soft.sigmoid, 0.1, hard=True)


def gated(neo, kind, k_attention=4, k_neurons=6):
    torch.manual_seed(3)
    return SelfAblatingModel(neo, kind, HARD, k_attention, k_neurons).double()


@pytest.mark.parametrize("kind", ["local", "global", "both"])
def test_masks_of_every_layer_keep_as_many_units(neo, tokens, kind):
    streams = gated(neo, kind)(tokens)
    assert [(m.shape[-1], n.shape[-1]) for m, n in streams.masks] == [(32, 48)] * 3
    for attention, neurons in streams.masks:
        assert (attention.sum(-1) == 4).all()
        assert (neurons.sum(-1) == 6).all()


def test_local_gates_read_their_layers_own_state_and_global_ones_the_final(neo, tokens):
    clean = clean_stream(neo, tokens)
    torch.manual_seed(3)
    gates = Gates(neo.config, "both").double()
    for layer, found in enumerate(gates.scores(clean)):
        for which, units in enumerate((32, 48)):
            whole = gates.final[which](clean.final)
            part = whole[..., layer * units : (layer + 1) * units]
            expected = gates.local[layer][which](clean.states[layer]) + part
            assert torch.allclose(found[which], expected)


def test_gates_have_as_many_parameters_as_published(neo):
    config = neo.config
    config.hidden_size, config.num_layers, config.intermediate_size = 128, 8, 512
    for kind in ("local", "global"):
        assert sum(p.numel() for p in Gates(config, kind).parameters()) == 660_480


def test_the_ablated_loss_reaches_gates_and_model_through_the_first_pass(neo, tokens):
    for kind in ("local", "global"):
        model = gated(neo, kind)
        model.logits(model(tokens).ablated.final).square().mean().backward()
        for gate in model.gates.parameters():
            assert gate.grad.abs().sum() > 0
        # Nothing but the final norm of the clean stream reads the last layer's clean MLP.
        silent = neo.transformer.h[-1].mlp.c_fc.weight
        assert silent.grad.abs().sum() > 0
        neo.zero_grad()


def test_without_gates_there_is_one_stream(neo, tokens):
    model = gated(neo, "none")
    streams = model(tokens)
    assert streams.ablated is None
    assert streams.masks == []
    assert not list(model.gates.parameters())


def test_reconstruction_is_the_mean_squared_distance_of_directions(neo, tokens):
    streams = gated(neo, "local")(tokens)
    real = torch.ones(3, 11, dtype=torch.bool)
    real[0, 5:] = False
    total = 0.0
    clean = [*streams.clean.states[1:], streams.clean.final]
    ablated = [*streams.ablated.states, streams.ablated.final]
    for row, place in real.nonzero().tolist():
        for one, other in zip(clean, ablated, strict=True):
            a, b = one[row, place], other[row, place]
            total += ((a / a.norm() - b / b.norm()) ** 2).mean().item() / len(clean)
    found = reconstruction(streams.clean, streams.ablated, real)
    assert found.item() == pytest.approx(total, rel=1e-9)
    same = reconstruction(streams.clean, streams.ablated.__class__(clean[:-1], clean[-1]), real)
    assert same.item() == 0


def test_live_fractions_count_units_that_are_on_at_some_real_position():
    mask = torch.zeros(2, 3, 4)
    mask[0, 1, 2] = mask[1, 2, 3] = 1
    real = torch.tensor([[True, True, True], [True, True, False]])
    assert live_fractions([(mask, mask), (1 - mask, mask)], real) == (0.625, 0.25)

"""Measures of sparsity, of autoencoders, of masks and of circuit sizes, on cases known by hand."""

import pytest
import torch
from transformers import AutoConfig
from transformers.models.auto import AutoModelForCausalLM

from benchmark.pretraining.self_ablation.model import SelfAblatingModel
from benchmark.pretraining.self_ablation.winners import Soft, Winners
from benchmark.prompts.random_batch import random_batch
from methods.training.autoencoder import OfOneMLP, train_autoencoder
from methods.training.circuit_sizes import sizes_up_to
from methods.training.leakage import leakage, of_both_streams
from methods.training.sparsity import (
    hoyer,
    kinds_of_top_tokens,
    kurtosis_over_tokens,
    mean_sizes_of_weights,
)


@pytest.fixture
def neo():
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "gpt_neo", vocab_size=40, num_layers=2, num_heads=2, hidden_size=16, intermediate_size=32,
        max_position_embeddings=16, attention_types=[[["global"], 2]], bos_token_id=0,
        eos_token_id=0, initializer_range=0.3, resid_dropout=0.0, embed_dropout=0.0,
        attention_dropout=0.0,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


def test_mean_weights_count_embeddings_or_not(neo):
    found = mean_sizes_of_weights(neo)
    every = torch.cat([p.detach().abs().flatten() for p in neo.parameters()])
    inside = [p for name, p in neo.named_parameters() if "wte" not in name and "wpe" not in name]
    others = torch.cat([p.detach().abs().flatten() for p in inside])
    assert found["mean_weight"] == pytest.approx(every.mean().item(), rel=1e-5)
    assert found["mean_weight_without_embeddings"] == pytest.approx(others.mean().item(), rel=1e-5)


def test_hoyer_of_known_rows():
    rows = torch.tensor([[1.0, 1, -1, 1], [0, 3, 0, 0], [0, 0, 0, 0]])
    assert hoyer(rows).tolist() == pytest.approx([0, 1, 1])


def test_kurtosis_of_neurons_is_over_tokens_and_none_where_a_neuron_is_dead():
    normal = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    signs = torch.tensor([-1.0, 1] * 50_000)
    neurons = torch.stack([normal, signs, torch.zeros(100_000)], -1)[None]
    assert kurtosis_over_tokens(neurons[..., :1]) == pytest.approx(3, abs=0.1)
    assert kurtosis_over_tokens(neurons[..., 1:]) == pytest.approx(1)


def test_a_neuron_of_one_token_has_one_kind():
    tokens = torch.arange(60) % 3
    about_one = (tokens == 2).float() + torch.arange(60) * 1e-4
    about_all = torch.arange(60.0)
    neurons = torch.stack([about_one, about_all], -1)[None]
    assert kinds_of_top_tokens(neurons, tokens) == (1 + 3) / 2


def test_an_autoencoder_finds_the_few_directions_that_there_are():
    draw = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(6, 8, generator=draw), dim=1)
    chosen = torch.randint(6, (2000,), generator=draw)
    rows = directions[chosen] * (1 + torch.rand(2000, 1, generator=draw))
    found = train_autoencoder(rows, expansion=2, price=0.5, steps=200, seed=0)
    error = (found.reconstructed(rows) - rows).square().sum() / rows.square().sum()
    assert error < 0.05
    dense = train_autoencoder(rows, expansion=2, price=0.0, steps=200, seed=0)
    assert (found.latents(rows) > 0).sum() < 0.7 * (dense.latents(rows) > 0).sum()


def test_an_mlps_output_is_recorded_and_replaced(neo):
    batch = random_batch(neo.config.vocab_size, 4, 9, seed=0)
    one = OfOneMLP(neo, 1)
    recorded = one.outputs([batch])
    block, hidden = neo.transformer.h[1], neo(batch.clean, output_hidden_states=True).hidden_states
    with torch.no_grad():
        middle = hidden[1] + block.attn(block.ln_1(hidden[1]))[0]
        expected = block.mlp(block.ln_2(middle))
    real = batch.real.clone()
    real[:, 0] = False
    assert torch.allclose(recorded, expected[real], atol=1e-5)
    assert one.loss([batch], lambda x: x) != pytest.approx(one.loss([batch], torch.zeros_like))


def test_sizes_go_up_to_all_edges():
    sizes = sizes_up_to(262)
    assert sizes[0] == 1
    assert sizes[-1] == 262
    assert sizes == sorted(set(sizes))


def test_masks_that_show_the_next_token_leak_and_constant_ones_do_not(neo):
    winners = Winners(Soft.sigmoid, 0.1, hard=True)
    gated = SelfAblatingModel(neo, "local", winners, 2, 2).requires_grad_(False)
    text = [random_batch(neo.config.vocab_size, 60, 9, seed=seed) for seed in (0, 1)]
    for batch in text:
        # Every token is followed by the next one of the vocabulary.
        batch.clean[:] = (batch.clean[:, :1] + torch.arange(9)) % 40
    for gate in gated.gates.parameters():
        gate.zero_()
    assert leakage(gated, text[:1], text[1:], 0)["leakage"] == pytest.approx(0, abs=0.05)
    telling = gated.gates.local[0][1].weight
    telling.copy_(torch.randn(telling.shape, generator=torch.Generator().manual_seed(0)))
    assert leakage(gated, text[:1], text[1:], 0)["leakage"] > 0.5
    live = of_both_streams(gated, text)
    assert 0 < live["live_attention"] <= live["live_neurons"] <= 1

"""The check at load tells rounding in half precision from a wrong adapter, and NaN from both."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.cells import cell as made_cell

from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits
from benchmark.models import check
from benchmark.models.check import allowed_difference, check_finite, check_longer
from benchmark.models.families import llama, mistral
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model
from benchmark.run.prompts import Prompts

HALF = ("bfloat16", "float16")


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A random Llama so deep that rounding in half precision is as large as its logits."""
    return save_random_model(
        tmp_path_factory.mktemp("deep"), random_config("llama", n_layers=12), scale=2.0
    )


@pytest.mark.parametrize("dtype", HALF)
def test_a_deep_model_is_right_in_half_precision(deep, dtype):
    model = load_model(deep, dtype=dtype)
    difference = model.largest_logit_difference or 0.0
    tokens = torch.arange(24)[None]
    largest = float(model.hugging_face(tokens).logits.abs().max())
    assert difference > 1.5 * allowed_difference(model.dtype, largest, True)
    exact = load_model(deep, dtype="float64").hugging_face(tokens).logits
    ours, theirs = (
        (logits - exact).square().mean()
        for logits in (clean_logits(model, tokens), model.hugging_face(tokens).logits)
    )
    assert ours < 2 * theirs


def broken(read):
    """An adapter that loses a twentieth of the attention scores of the first layer."""

    def read_wrongly(hugging_face):
        weights = read(hugging_face)
        first, *rest = weights.layers
        attention = replace(first.attention, scale=0.95 * first.attention.scale)
        return replace(weights, layers=(replace(first, attention=attention), *rest))

    return read_wrongly


@pytest.mark.parametrize("dtype", ("float32", *HALF))
def test_a_wrong_adapter_is_caught_in_every_precision(deep, monkeypatch, dtype):
    monkeypatch.setattr(llama, "FAMILY", replace(llama.FAMILY, read=broken(llama.FAMILY.read)))
    with pytest.raises(UserError, match="a feature that its adapter in"):
        load_model(deep, dtype=dtype)


def blind(read):
    """An adapter that loses the windows."""

    def read_wrongly(hugging_face):
        weights = read(hugging_face)
        layers = (replace(x, attention=replace(x.attention, window=None)) for x in weights.layers)
        return replace(weights, layers=tuple(layers))

    return read_wrongly


def windowed(tmp_path, monkeypatch):
    """A family whose windows are lost, loaded with a check of prompts that do not leave them."""
    wrong = replace(mistral.FAMILY, read=blind(mistral.FAMILY.read))
    monkeypatch.setattr(mistral, "FAMILY", wrong)
    config = random_config("mistral", n_ctx=320)
    config.sliding_window = 300
    return load_model(save_random_model(tmp_path, config)), wrong


def test_a_window_that_a_tasks_prompts_leave_is_checked(tmp_path, monkeypatch):
    model, family = windowed(tmp_path, monkeypatch)
    check_longer(model, model.hugging_face, family, "x", 300)
    with pytest.raises(UserError, match="a feature that its adapter in"):
        check_longer(model, model.hugging_face, family, "x", 301)


def test_a_run_checks_its_model_at_the_length_of_its_prompts(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(check, "N_TOKENS", 5)
    same = torch.zeros(1), torch.zeros(1)
    monkeypatch.setattr(check, "_both_logits", lambda *given: seen.append(given[2]) or same)
    cell = made_cell(tmp_path, model="tiny_gpt2", method="random", n_train=2, n_test=2)
    # Another test may have loaded the choice, which is then kept.
    prompts = Prompts.of(cell, load_model("tiny_gpt2"))
    longest = max(batch.n_positions for batch in (prompts.train, *prompts.held_out))
    assert seen == [5, longest] and longest > 5


@pytest.mark.parametrize("check", [True, False])
def test_weights_that_are_no_numbers_are_named(tmp_path, check):
    path = save_random_model(tmp_path, random_config("gpt2"))
    weights = load_file(path / "model.safetensors")
    weights["transformer.h.0.mlp.c_fc.weight"][1, 2:4] = float("nan")
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"2 of the 2,048 numbers of transformer\.h\.0\.mlp\.c_fc"):
        load_model(path, check=check)


@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16, torch.float32))
def test_infinite_weights_are_found_in_every_precision(models, dtype):
    layer = torch.nn.Linear(3, 2).to(dtype).requires_grad_(False)
    check_finite(layer, "a layer")
    layer.bias[1] = float("-inf")
    with pytest.raises(UserError, match="1 of the 2 numbers of bias are NaN or infinite"):
        check_finite(layer, "a layer")

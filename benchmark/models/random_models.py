"""Small random models of every family, saved as Hugging Face directories.

They serve tests, benchmarks and demonstrations that must run without a network. Weights are
larger than an untrained model's, and biases and norm gains are random too, so that every part
of the computation matters to the logits.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.auto import AutoModelForCausalLM

from benchmark.errors import UserError, near
from benchmark.models.quiet import quiet_transformers
from benchmark.seeds import derived_seed

CONFIGS = {
    "gpt2": GPT2Config,
    "gpt_neox": GPTNeoXConfig,
    "llama": LlamaConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "gemma2": Gemma2Config,
}
GROUPED = ("llama", "qwen2", "qwen3", "gemma2")


def random_config(
    family: str,
    *,
    n_layers: int = 2,
    n_heads: int = 4,
    d_model: int = 32,
    d_mlp: int = 64,
    d_vocab: int = 50,
    n_ctx: int = 32,
) -> PreTrainedConfig:
    """A configuration of a family with its own features switched on.

    Grouped families get two query heads per key head, GPT-NeoX a quarter of rotary dimensions,
    and Gemma 2 soft-caps and a sliding window that short prompts already feel.

    Raises:
        UserError: the family is unknown.
    """
    if family not in CONFIGS:
        raise UserError(
            f"family {family!r} is not one of {', '.join(CONFIGS)}{near(family, CONFIGS)}"
        )
    facts = dict(
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        hidden_size=d_model,
        intermediate_size=d_mlp,
        vocab_size=d_vocab,
        max_position_embeddings=n_ctx,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    if family == "gpt2":
        facts["n_inner"] = facts.pop("intermediate_size")
    if family in GROUPED:
        facts["num_key_value_heads"] = n_heads // 2
    if family in ("qwen3", "gemma2"):
        facts["head_dim"] = d_model // n_heads
    if family == "gemma2":
        facts |= dict(query_pre_attn_scalar=10, sliding_window=5)
        facts |= dict(attn_logit_softcapping=3.0, final_logit_softcapping=8.0)
    return CONFIGS[family](**facts)


def save_random_model(
    directory: str | Path, config: PreTrainedConfig, *, seed: int = 0, scale: float = 1.0
) -> Path:
    """Save a random model with a word-level tokenizer ("w0", "w1", ...), and return `directory`.

    Args:
        directory: where to; made if needed.
        config: from `random_config`, or any supported configuration.
        seed: seed of the weights.
        scale: size of the weights, in units of 1 / sqrt(fan-in); zero gives flat logits.
    """
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(derived_seed(seed, "random model"))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            _randomise(name, parameter, scale)
    torch.random.set_rng_state(torch_state)
    with quiet_transformers():
        model.save_pretrained(directory)
    word_tokenizer(config.vocab_size).save_pretrained(directory)
    return Path(directory)


def _randomise(name: str, parameter: torch.Tensor, scale: float) -> None:
    is_norm = parameter.dim() == 1 and "norm" in name.replace("ln_", "norm")
    if parameter.dim() == 2:
        parameter.normal_(std=scale * parameter.shape[1] ** -0.5)
    elif is_norm and name.endswith("weight"):
        parameter.add_(torch.randn_like(parameter), alpha=0.2)
    else:
        parameter.normal_(std=0.2 * scale)


def word_tokenizer(d_vocab: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `d_vocab` words "w0", "w1", ...; anything else becomes "w0"."""
    vocabulary = {f"w{index}": index for index in range(d_vocab)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="w0", bos_token="w0", eos_token="w0", pad_token="w0"
    )

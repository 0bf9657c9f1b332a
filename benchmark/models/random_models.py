"""Small random models of every family, saved as Hugging Face directories.

They serve tests, benchmarks and demonstrations that must run without a network. Weights are
larger than an untrained model's, and biases and norm gains are random too, so that every part
of the computation matters to the logits.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, PreTrainedConfig, PreTrainedTokenizerFast
from transformers.models.auto import AutoModelForCausalLM

from benchmark.models.family import family_named
from benchmark.models.quiet import quiet_transformers
from benchmark.seeds import derived_seed


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
    """A configuration of a family with its own features switched on; see its `tiny_config`.

    Raises:
        UserError: the family is unknown.
    """
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
    return AutoConfig.for_model(family, **family_named(family).tiny_config(facts))


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
    word_tokenizer(config.get_text_config().vocab_size).save_pretrained(directory)
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

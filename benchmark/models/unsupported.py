"""What no family computes, found in a configuration and named when a model is refused.

The forward pass has one attention and one MLP a layer that read and write one residual stream;
see benchmark/transformer/weights.py for all that they may have.
"""

from collections.abc import Callable
from typing import Any

# A configuration of Hugging Face, which has a class for each family.
Config = Any

# Layers that attend with heads, by Hugging Face's names.
ATTENDING = {"full_attention", "sliding_attention"}
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
RECURRENT = ("state_size", "ssm_state_size", "mamba_d_state", "mamba_d_ssm", "block_types")


def unsupported_features(config: Config) -> list[str]:
    """The names of what a model has and no family computes."""
    text = config.get_text_config()
    return [name for name, has in FEATURES.items() if has(text)]


def rotary_parameters(config: Config) -> list[dict[str, Any]]:
    """The parameters of each rotary embedding; layers of each type may have their own."""
    parameters = getattr(config, "rope_parameters", None) or {}
    own = [each for each in parameters.values() if isinstance(each, dict)]
    return own or [parameters]


def _has(*names: str) -> Callable[[Config], bool]:
    return lambda config: any(getattr(config, name, None) for name in names)


def _is(*model_types: str) -> Callable[[Config], bool]:
    return lambda config: config.model_type in model_types


def _recurrent(config: Config) -> bool:
    kinds = set(getattr(config, "layer_types", None) or ())
    return bool(kinds - ATTENDING - {"chunked_attention"}) or _has(*RECURRENT)(config)


def _dynamic(config: Config) -> bool:
    # Padding would change it, and Hugging Face's depends on the prompts that came before.
    return any(each.get("rope_type") == "dynamic" for each in rotary_parameters(config))


FEATURES: dict[str, Callable[[Config], bool]] = {
    "experts": _has(*EXPERTS),
    "attention sinks": _is("gpt_oss"),
    "ALiBi": lambda config: _has("alibi")(config) or _is("bloom", "mpt")(config),
    "a bias in the unembedding": _is("codegen", "gptj", "phi"),
    "layers without attention (hybrid or recurrent)": _recurrent,
    "per-layer inputs": _has("hidden_size_per_layer_input"),
    "chunked attention": _has("attention_chunk_size"),
    "dynamic rotary scaling": _dynamic,
    "cross-attention (add_cross_attention=True)": _has("add_cross_attention"),
}

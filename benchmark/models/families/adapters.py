"""One small adapter per model family: from a Hugging Face model to `Weights`.

Weights and facts are read from the Hugging Face configuration and modules themselves, because
no other description is complete for every family (rotary scaling, post-norms, soft-caps and
sliding windows live only there). To add a family, write a file with a function that returns
`Weights` and name it in `FAMILIES`; the load-time check compares it with Hugging Face's logits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.errors import UserError, near
from benchmark.graph.shape import Shape
from benchmark.models.families.gemma2 import read_gemma2
from benchmark.models.families.gpt2 import read_gpt2
from benchmark.models.families.gpt_neox import read_gpt_neox
from benchmark.models.families.llama import read_llama
from benchmark.models.families.parts import Config, Module
from benchmark.transformer.weights import Weights


@dataclass(frozen=True)
class Family:
    """How to read one `model_type`: its weights, and whether its blocks are parallel."""

    read: Callable[[Module], Weights]
    parallel: Callable[[Config], bool] = lambda _: False
    # False where Hugging Face itself drops to float32 inside a float64 model (its RMSNorm).
    exact_in_float64: bool = False


def family_of(config: Config) -> Family:
    """The adapter for a configuration's `model_type`.

    Raises:
        UserError: the family has no adapter, or uses a variant that the adapter cannot express.
    """
    if config.model_type not in FAMILIES:
        allowed = ", ".join(sorted(FAMILIES))
        raise UserError(
            f"models of type {config.model_type!r} are not supported; supported types are "
            f"{allowed}{near(config.model_type, FAMILIES)}. To add one, write its adapter in "
            "benchmark/families/"
        )
    if getattr(config, "add_cross_attention", False):
        raise UserError("cross-attention (add_cross_attention=True) is not supported")
    return FAMILIES[config.model_type]


def shape_of(config: Config) -> Shape:
    """The sizes of a model from its Hugging Face configuration alone (no weights needed)."""
    n_heads, d_model = config.num_attention_heads, config.hidden_size
    d_mlp = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None)
    return Shape(
        n_layers=config.num_hidden_layers,
        n_heads=n_heads,
        n_key_value_heads=getattr(config, "num_key_value_heads", None) or n_heads,
        d_model=d_model,
        d_head=getattr(config, "head_dim", None) or d_model // n_heads,
        d_mlp=d_mlp or 4 * d_model,
        d_vocab=config.vocab_size,
        n_ctx=config.max_position_embeddings,
        parallel=family_of(config).parallel(config),
    )


FAMILIES: dict[str, Family] = {
    "gpt2": Family(read_gpt2, exact_in_float64=True),
    "gpt_neox": Family(
        read_gpt_neox, lambda config: config.use_parallel_residual, exact_in_float64=True
    ),
    "llama": Family(read_llama),
    "qwen2": Family(read_llama),
    "qwen3": Family(read_llama),
    "gemma2": Family(read_gemma2),
}

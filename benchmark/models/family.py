"""One small adapter per model family: from a Hugging Face model to `Weights`.

Weights and facts are read from the Hugging Face configuration and modules themselves, because
no other description is complete for every family (rotary scaling, post-norms, soft-caps and
sliding windows live only there). A family is the file in `families/` that has the name of its
`model_type` and holds a `FAMILY`; a package of the user's own may have a folder of them too. The
load-time check compares its logits with Hugging Face's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from benchmark.errors import UserError, near
from benchmark.graph.shape import Shape
from benchmark.models.family_files import family_modules
from benchmark.models.parts import Config, Facts, Module
from benchmark.models.unsupported import rotary_parameters, unsupported_features
from benchmark.transformer.weights import Weights

# Layers, or heads of a layer; the largest models have about a hundred of each.
MOST = 1000


@dataclass(frozen=True)
class Family:
    """How to read one `model_type`.

    Attributes:
        read: the weights of a Hugging Face model.
        tiny_config: from the facts of a small configuration to one with the family's own features
            switched on, for the random models that tests run on.
        parallel: whether attention and MLP of a layer read the same stream.
        exact_in_float64: False where Hugging Face itself drops to float32 inside a float64 model
            (its RMSNorm).
    """

    read: Callable[[Module], Weights]
    tiny_config: Callable[[Facts], Facts]
    parallel: Callable[[Config], bool] = lambda _: False
    exact_in_float64: bool = False


def family_names() -> list[str]:
    """The `model_type` of every family, this project's and the user's own."""
    return list(family_modules())


def family_named(model_type: str) -> Family:
    """The adapter of a family.

    Raises:
        UserError: there is none.
    """
    modules = family_modules()
    if model_type not in modules:
        raise UserError(
            f"models of type {model_type!r} are not supported; supported types are "
            f"{', '.join(modules)}{near(model_type, modules)}. To add one, write its adapter, "
            f"families/{model_type}.py, in a package of your own (plugins=[my_package])"
        )
    return import_module(modules[model_type]).FAMILY


def family_of(config: Config) -> Family:
    """The adapter for a configuration's `model_type`.

    Raises:
        UserError: the family has no adapter, or uses a variant that the adapter cannot express.
    """
    features = unsupported_features(config)
    if features:
        raise UserError(
            f"models of type {config.model_type!r} with {' and '.join(features)} are not supported"
        )
    return family_named(config.model_type)


def shape_of(config: Config) -> Shape:
    """The sizes of a model from its Hugging Face configuration alone (no weights needed).

    Raises:
        UserError: it has more layers or heads than any model, or none.
    """
    family = family_of(config)
    config = config.get_text_config()
    _check_numbers(config)
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
        n_ctx=_context_of(config),
        parallel=family.parallel(config),
    )


def _context_of(config: Config) -> int:
    """The longest prompt.

    Long rotary scaling turns by other angles from some length on, so that padding would change a
    shorter prompt's logits; prompts stay below it.
    """
    lengths = [
        each["original_max_position_embeddings"]
        for each in rotary_parameters(config)
        if each.get("rope_type") == "longrope"
    ]
    return min([config.max_position_embeddings, *lengths])


def _check_numbers(config: Config) -> None:
    for name in ("num_hidden_layers", "num_attention_heads"):
        if not 1 <= getattr(config, name) <= MOST:
            raise UserError(f"config.json has {name}={getattr(config, name)}; allowed: 1 to {MOST}")

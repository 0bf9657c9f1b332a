"""SmolLM 3: Llama without rotary embedding in every fourth layer."""

from benchmark.models.families.llama import llama_layer, weights_of
from benchmark.models.family import Family
from benchmark.models.parts import Facts, Module, two_queries_per_key
from benchmark.transformer.weights import Rotary, Weights


def read(model: Module) -> Weights:
    """The weights of a SmolLM 3 model."""

    def rotary(block: Module) -> Rotary | None:
        return model.model.rotary_emb if block.self_attn.use_rope else None

    return weights_of(model, llama_layer, rotary=rotary)


def tiny_config(facts: Facts) -> Facts:
    """Without rotary embedding, and with a window, in every other layer."""
    turned = [layer % 2 for layer in range(facts["num_hidden_layers"])]
    windows = dict(use_sliding_window=True, sliding_window=5)
    return two_queries_per_key(facts) | dict(no_rope_layers=turned, **windows)


FAMILY = Family(read, tiny_config)

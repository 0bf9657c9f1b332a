"""A model family: Ministral, which is Llama with a sliding window in some layers."""

from benchmark.models.families.llama import read
from benchmark.models.family import Family
from benchmark.models.parts import Facts, two_queries_per_key


def tiny_config(facts: Facts) -> Facts:
    """With a window that short prompts already feel."""
    kinds = ["sliding_attention"] * facts["num_hidden_layers"]
    return two_queries_per_key(facts) | dict(head_dim=8, sliding_window=3, layer_types=kinds)


FAMILY = Family(read, tiny_config)

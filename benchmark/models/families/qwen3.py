"""Qwen 3: Llama with a norm on each head's queries and keys."""

from benchmark.models.families.llama import read
from benchmark.models.family import Family
from benchmark.models.parts import Facts, two_queries_per_key


def tiny_config(facts: Facts) -> Facts:
    """Heads as wide as the others'."""
    d_head = facts["hidden_size"] // facts["num_attention_heads"]
    return two_queries_per_key(facts) | dict(head_dim=d_head)


FAMILY = Family(read, tiny_config)

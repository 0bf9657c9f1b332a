"""Qwen 2: Llama with biases on queries, keys and values."""

from benchmark.models.families.llama import read
from benchmark.models.family import Family
from benchmark.models.parts import two_queries_per_key

FAMILY = Family(read, two_queries_per_key)

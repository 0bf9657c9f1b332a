"""Which families of models tests run on, and which of them the quick part takes."""

from benchmark.models.family import family_names

# Every family but the one that only wraps another's text model; `tests/models` loads that one too.
FAMILIES = [family for family in family_names() if family != "gemma3"]
# Learned positions, LayerNorm and biases; parallel blocks; gated MLPs with norms before and
# behind, soft-caps, a window and groups of queries; norms behind alone, and of queries jointly.
QUICK_FAMILIES = ("gpt2", "gpt_neox", "gemma2", "olmo2")
# One of each structure: the same, and norms of each head's queries.
STRUCTURES = [*QUICK_FAMILIES, "qwen3"]

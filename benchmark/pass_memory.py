"""How many mask rows fit into one pass."""

from benchmark.transformer import Transformer

MOST_BYTES = 4e9


def masks_that_fit(model: Transformer, n_prompts: int, n_positions: int) -> int:
    """Mask rows whose activations, with gradient, take about 4 GB in float32; at least one.

    See forward.py for what a row takes.
    """
    shape = model.shape
    values = model.graph.n_sources + 3 * shape.n_heads * shape.n_layers
    return max(1, int(MOST_BYTES // (4 * n_prompts * n_positions * shape.d_model * values)))

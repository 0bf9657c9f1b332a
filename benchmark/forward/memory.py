"""How many mask rows fit into one pass."""

from benchmark.transformer.transformer import Transformer

MOST_BYTES = 4e9


def masks_that_fit(
    model: Transformer, n_prompts: int, n_positions: int, *, with_gradient: bool = True
) -> int:
    """Mask rows whose activations take about 4 GB in float32; at least one.

    See forward.py for what a row takes.
    """
    shape = model.shape
    values = model.graph.n_sources + 3 * shape.n_heads * (shape.n_layers if with_gradient else 1)
    return max(1, int(MOST_BYTES // (4 * n_prompts * n_positions * shape.d_model * values)))


def rows_that_fit(
    model: Transformer, n_prompts: int, n_positions: int, *, with_gradient: bool = True
) -> int:
    """Rows of an unablated pass whose activations take about 4 GB; at least one.

    Without gradient those of one layer are there at a time.
    """
    shape = model.shape
    values = 12 * shape.d_model + 4 * shape.d_mlp
    values *= shape.n_layers if with_gradient else 1
    per_prompt = n_positions * values + 3 * shape.d_vocab
    return max(1, int(MOST_BYTES // (4 * n_prompts * per_prompt)))

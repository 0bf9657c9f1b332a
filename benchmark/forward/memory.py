"""How many masks, or prompts, fit into one pass: one budget, which every pass obeys.

The budget is of activations, beside the model: 4 GB, or what `ABLATION_BENCH_MEMORY_GB` says. How
work is divided into passes changes no number but by rounding.
"""

import os

import torch

from benchmark.errors import UserError
from benchmark.transformer.transformer import Transformer

MOST_BYTES = 4e9
# Another budget, in GB.
VARIABLE = "ABLATION_BENCH_MEMORY_GB"


def most_bytes() -> float:
    """The budget of a pass in bytes.

    Raises:
        UserError: the variable is no number above 0.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return MOST_BYTES
    try:
        gigabytes = float(given)
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < float("inf"):
        raise UserError(f"{VARIABLE}={given!r} must be a number of GB above 0, such as 16")
    return gigabytes * 1e9


def masks_that_fit(
    model: Transformer, n_prompts: int, n_positions: int, *, with_gradient: bool = True
) -> int:
    """Masks whose activations take about 4 GB in float32; at least one.

    See forward.py for what a row takes.
    """
    shape = model.shape
    values = model.graph.n_sources + 3 * shape.n_heads * (shape.n_layers if with_gradient else 1)
    return max(1, int(most_bytes() // (4 * n_prompts * n_positions * shape.d_model * values)))


def training_prompts_that_fit(model: Transformer, n_masks: int, n_positions: int) -> int:
    """Prompts of a step that trains constants of so many masks; at least one.

    A position of a mask and prompt takes two buffers of all sources (S d numbers each: what they
    write, and its gradient); what L layers keep for the way back, their readers' inputs (3 H d)
    and activations (12 d + 4 m, and H T of attention weights); and the readers' gradients of one
    layer, twice (6 H d). So the default 75 prompts of 16 tokens of SmolLM2 135M (d = 576, L = 30,
    H = 9, m = 1,536, S = 301) would take 6.0 GB a mask, and 50 fit into 4 GB
    (measured of 8 prompts: 0.63 GB, where this says 0.64).
    """
    shape = model.shape
    d, n_heads = shape.d_model, shape.n_heads
    per_layer = 3 * n_heads * d + 12 * d + 4 * shape.d_mlp + n_heads * n_positions
    numbers = 2 * model.graph.n_sources * d + shape.n_layers * per_layer + 6 * n_heads * d
    size = torch.finfo(model.stream_dtype).bits // 8
    per_prompt = size * (n_positions * numbers + 3 * shape.d_vocab)
    return max(1, int(most_bytes() // (n_masks * per_prompt)))


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
    return max(1, int(most_bytes() // (4 * n_prompts * per_prompt)))


def states_that_fit(model: Transformer) -> int:
    """Places of which 4 GB keep the states before every layer, at the end, and what attention adds.

    A place takes (2 L + 1) d numbers of the stream's precision: 140 KB of SmolLM2 135M (d = 576,
    L = 30), so that 28,000 places are kept.
    """
    size = torch.finfo(model.stream_dtype).bits // 8
    return int(most_bytes() // (size * (2 * model.shape.n_layers + 1) * model.shape.d_model))


def prompts_that_fit(model: Transformer, n_positions: int) -> int:
    """Prompts of a pass that records every source, in about 4 GB; at least one.

    A position of a prompt takes (1 + L) d + L H d_head numbers of the record and the activations
    of the layer that is running (12 d + 4 m), in the stream's precision, and three float64 copies
    of one source while sums are taken. So Llama 3.1 8B (d = H d_head = 4,096, L = 32, m = 14,336)
    takes 1.6 MB: at 30 positions a pass holds 83 prompts and 4 GB. 1,000 prompts at once would
    record 32 GB, and every float64 copy of all heads would take 31 GB more.
    """
    shape = model.shape
    recorded = (1 + shape.n_layers) * shape.d_model + shape.n_layers * shape.n_heads * shape.d_head
    running = 12 * shape.d_model + 4 * shape.d_mlp
    size = torch.finfo(model.stream_dtype).bits // 8
    per_position = size * (recorded + running) + 3 * 8 * shape.d_model
    return max(1, int(most_bytes() // (n_positions * per_position)))


def attribution_prompts_that_fit(model: Transformer, n_positions: int) -> int:
    """Prompts of a pass that attributes edges by gradients; at least one.

    A position of a prompt takes the differences of all S sources (S d numbers); the live values and
    the ablation's, (1 + L) d + L H d_head each, and the heads of each layer together, L d; what L
    layers keep for the way back (12 d + 4 m, and H T of attention weights); and the readers'
    gradients of one layer, twice (6 H d). So 32 prompts of 256 tokens of SmolLM2 135M (d = 576,
    L = 30, H = 9, m = 1,536, S = 301) would take 24 GB, and five fit into 4 GB
    (measured of 32 prompts of 16 tokens: 1.1 GB, where this says 1.4).
    """
    shape = model.shape
    d, n_layers, n_heads = shape.d_model, shape.n_layers, shape.n_heads
    values = 2 * ((1 + n_layers) * d + n_layers * n_heads * shape.d_head) + n_layers * d
    kept = n_layers * (12 * d + 4 * shape.d_mlp + n_heads * n_positions)
    numbers = model.graph.n_sources * d + values + kept + 6 * n_heads * d
    size = torch.finfo(model.stream_dtype).bits // 8
    per_prompt = size * (n_positions * numbers + 3 * shape.d_vocab)
    return max(1, int(most_bytes() // per_prompt))

"""How many facts a pass may hold, from what memory is free."""

import os

import torch

from benchmark.forward.memory import MOST_BYTES
from benchmark.transformer.transformer import Transformer

# Of the free memory, what a pass may take.
SHARE = 0.5


def bytes_to_use(device: torch.device, gigabytes: float | None) -> float:
    """What was set, or half of what is free, at most 4 GB; 4 GB where nobody can say."""
    if gigabytes is not None:
        return gigabytes * 1e9
    if device.type == "cuda":
        return min(MOST_BYTES, SHARE * torch.cuda.mem_get_info(device)[0])
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return MOST_BYTES
    return min(MOST_BYTES, SHARE * free)


def facts_that_fit(
    model: Transformer, n_positions: int, n_draws: int, n_places: int, most_bytes: float
) -> int:
    """Facts whose recorded runs and restored rows fit together; at least one.

    A recorded run takes states, two outputs, keys and values of every layer at every position; a
    row the activations of one layer, its keys and values beside those of the run, and its logits.
    """
    shape = model.shape
    per_layer = 3 * shape.d_model + 2 * shape.n_key_value_heads * shape.d_head
    recorded = (1 + n_draws) * shape.n_layers * n_positions * per_layer
    row = n_positions * (8 * shape.d_model + 3 * shape.d_mlp) + 3 * shape.d_vocab
    numbers = recorded + n_draws * (2 + n_places) * row
    size = torch.finfo(model.stream_dtype).bits // 8
    return max(1, int(most_bytes // (size * numbers)))

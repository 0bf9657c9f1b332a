"""Prompts of random tokens."""

import torch

from benchmark.prompts.batch import Batch
from benchmark.seeds import generator


def random_batch(
    d_vocab: int = 50,
    n_prompts: int = 4,
    n_positions: int = 8,
    *,
    same_length: bool = False,
    first_token: int | None = None,
    seed: int = 0,
) -> Batch:
    draw = generator(seed, "test prompts")
    clean, corrupted = torch.randint(d_vocab, (2, n_prompts, n_positions), generator=draw)
    if first_token is not None:
        clean[:, 0] = corrupted[:, 0] = first_token
    lengths = torch.full((n_prompts,), n_positions)
    if not same_length:
        lengths = torch.randint(3, n_positions + 1, (n_prompts,), generator=draw)
        lengths[0] = n_positions
    tokens = torch.stack([torch.randperm(d_vocab, generator=draw)[:4] for _ in range(n_prompts)])
    answers, wrong = tokens[:, :2], tokens[:, 2:]
    ids = tuple(f"prompt {seed} {i}" for i in range(n_prompts))
    return Batch(clean, corrupted, lengths, lengths - 1, answers, wrong, ids)

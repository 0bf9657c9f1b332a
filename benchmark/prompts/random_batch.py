"""Prompts of random tokens: to time passes, to compare ablations without a task, and for tests."""

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
    name: str = "random prompts",
) -> Batch:
    """Pairs of prompts that have nothing to do with each other, with two answers of each sort.

    Args:
        d_vocab: tokens to draw from, 4 or more.
        n_prompts: pairs.
        n_positions: length of the longest prompt, 3 or more.
        same_length: whether all are as long; otherwise others have 3 tokens or more.
        first_token: what all begin with, as with a BOS; None draws it too.
        seed: of the draws.
        name: what they are for; other names give other prompts.
    """
    draw = generator(seed, name)
    clean, corrupted = torch.randint(d_vocab, (2, n_prompts, n_positions), generator=draw)
    if first_token is not None:
        clean[:, 0] = corrupted[:, 0] = first_token
    lengths = torch.full((n_prompts,), n_positions)
    if not same_length:
        lengths = torch.randint(3, n_positions + 1, (n_prompts,), generator=draw)
        lengths[0] = n_positions
    tokens = torch.stack([torch.randperm(d_vocab, generator=draw)[:4] for _ in range(n_prompts)])
    ids = tuple(f"prompt {seed} {i}" for i in range(n_prompts))
    return Batch(clean, corrupted, lengths, lengths - 1, tokens[:, :2], tokens[:, 2:], ids)

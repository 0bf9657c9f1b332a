"""Random generators of torch for one purpose each; see seeds.py."""

import torch

from benchmark.seeds import derived_seed as derived_seed


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for one purpose. Draw on the CPU and move: devices draw differently."""
    return torch.Generator().manual_seed(derived_seed(seed, *names))

"""Making a process compute the same numbers every time."""

import os

import torch


def compute_repeatably() -> None:
    """Choose deterministic algorithms; one that a device lacks is a warning.

    Call it before anything runs on a GPU. Memory that is not yet written stays as it is: filling
    it would cost the masked pass another pass over its buffer, and nothing reads it.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore

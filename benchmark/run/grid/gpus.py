"""One GPU a process, where a command runs its cells side by side on a machine with several."""

import os
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from benchmark.locks import Timeout, holding
from benchmark.run.grid.sweep import VARIABLE

# Which GPUs CUDA shows a process, by number or by name.
VISIBLE = "CUDA_VISIBLE_DEVICES"
# What this process holds until it ends.
_place = ExitStack()


def take_gpu() -> None:
    """Let CUDA show this process one GPU, before it is first used: the least taken one.

    Processes of one command hold places 0, 1, ...; place p is given GPU p modulo their number, so
    that each has its own while there are no more processes than GPUs. A process that ends, however
    it does, leaves its place to the next.
    """
    shown = _shown()
    if len(shown) < 2:
        return
    folder = Path(os.environ[VARIABLE])
    for place in count():
        try:
            _place.enter_context(holding(folder / f"gpu_{place}.lock", wait=False))
        except Timeout:
            continue
        os.environ[VISIBLE] = shown[place % len(shown)]
        return


def _shown() -> list[str]:
    """The GPUs that this process may use."""
    typed = os.environ.get(VISIBLE)
    if typed is not None:
        return [name for name in typed.split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]

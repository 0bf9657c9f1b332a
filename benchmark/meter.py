"""Counting what a computation costs, in passes per prompt, seconds and bytes.

Passes compare across machines; seconds do not. One forward pass is one prompt through the
whole model once; a pass that starts at a later layer counts as the fraction of layers that it
runs, and every mask counts as a pass of its own. A backward pass is counted when the
gradient really flows. Everything that runs inside `metering()` is counted, ablations included.
"""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import torch
from torch import Tensor

# Each running meter, and when it was started.
_active: ContextVar[tuple[tuple["Meter", float], ...]] = ContextVar("active meters", default=())


@dataclass
class Meter:
    """What was spent since the meter was started.

    Attributes:
        forward: forward passes, in prompts.
        backward: backward passes, in prompts.
        seconds: wall time.
        peak_bytes: on a GPU, the most memory that tensors took since the outermost meter was
            started; otherwise the most that the process has ever taken.
    """

    forward: float = 0.0
    backward: float = 0.0
    seconds: float = 0.0
    peak_bytes: int = 0


@contextmanager
def metering() -> Iterator[Meter]:
    """Count the passes of everything inside the block. Blocks may nest; each counts all of its own.

    Passes are read while the block runs; seconds and peak memory are set when it ends.
    """
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
        if not _active.get():
            torch.cuda.reset_peak_memory_stats()
    meter, start = Meter(), time.perf_counter()
    token = _active.set((*_active.get(), (meter, start)))
    try:
        yield meter
    finally:
        _active.reset(token)
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        meter.seconds += time.perf_counter() - start
        meter.peak_bytes = max(meter.peak_bytes, peak_bytes())


def so_far(meter: Meter) -> Meter:
    """What a running meter has counted until now, its seconds and memory included."""
    start = next(start for running, start in _active.get() if running is meter)
    seconds = meter.seconds + time.perf_counter() - start
    return replace(meter, seconds=seconds, peak_bytes=max(meter.peak_bytes, peak_bytes()))


def count(spent: Meter) -> None:
    """Count what an earlier start of the same computation spent."""
    for meter, _ in _active.get():
        meter.forward += spent.forward
        meter.backward += spent.backward
        meter.seconds += spent.seconds
        meter.peak_bytes = max(meter.peak_bytes, spent.peak_bytes)


def count_passes(logits: Tensor, prompts: int, share_of_layers: float = 1.0) -> None:
    """Count one forward pass of `prompts`, and its backward pass if one ever reaches `logits`."""
    meters, passes = [meter for meter, _ in _active.get()], prompts * share_of_layers
    for meter in meters:
        meter.forward += passes
    if meters and logits.requires_grad:

        def count_backward(gradient: Tensor) -> None:
            for meter in meters:
                meter.backward += passes

        logits.register_hook(count_backward)


def count_parts(forward: float = 0.0, backward: float = 0.0) -> None:
    """Count work that is no pass of its own, in passes of a prompt."""
    for meter, _ in _active.get():
        meter.forward += forward
        meter.backward += backward


@contextmanager
def uncounted() -> Iterator[None]:
    """Count no pass inside the block, since the caller counts them by `count_parts`.

    Seconds and memory go on.
    """
    token = _active.set(())
    try:
        yield
    finally:
        _active.reset(token)


def peak_bytes() -> int:
    """The most memory taken so far: by tensors on the GPU if one is in use, else by the process."""
    if torch.cuda.is_initialized() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

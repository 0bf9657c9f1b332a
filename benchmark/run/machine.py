"""What a record says about the code and the machine that made it."""

import os
import platform
import subprocess
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmark.digests import digest, digest_of_file
from benchmark.transformer.vector_math import sound_vector_math

LIBRARIES = ("ablation-bench", "torch", "transformers", "datasets", "hydra-core", "numpy")


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


@lru_cache
def code_digest(*packages: str) -> str:
    """A digest of all that computes: the modules of these packages, and the libraries' versions."""
    roots = [Path(folder) for name in packages for folder in import_module(name).__path__]
    modules = sorted(path for root in roots for path in root.rglob("*.py"))
    return digest([library_versions(), [digest_of_file(path) for path in modules]])


def machine(device: torch.device) -> dict[str, Any]:
    """Where a computation runs; numbers may differ in their last bits between two of these.

    `wrong_first_calls` says how often the vector math was wrong before it was warm.
    """
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "device": str(device),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "wrong_first_calls": sound_vector_math(),
        "cpus": os.cpu_count(),
        "git": _git(),
    }


def _git() -> str | None:
    """The commit of the code, with a mark if files differ from it; None outside a checkout."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def compute_repeatably() -> None:
    """Choose deterministic algorithms; one that a device lacks is a warning.

    Call it before anything runs on a GPU. Memory that is not yet written stays as it is: filling
    it would cost the masked pass another pass over its buffer, and nothing reads it.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As use_deterministic_algorithms(True, warn_only=True), which imports torch's compiler, too.
    torch.set_deterministic_debug_mode("warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore

"""Circuits that a method found, kept on disk until their evaluation is done.

A cell that is killed while its circuits are evaluated goes on with the same circuits, and its
cost of discovery stays known.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from benchmark.files import replacing
from benchmark.graph import ComputationalGraph
from benchmark.mask import EdgeMask, stack
from benchmark.meter import Meter
from benchmark.method import FoundCircuit, stacked_neurons


def save_found(path: Path, circuits: Sequence[FoundCircuit], cost: Meter) -> None:
    """Write the circuits and what they cost, atomically."""
    facts = {
        "settings": json.dumps([found.setting for found in circuits]),
        "requested": json.dumps([found.requested for found in circuits]),
        "cost": json.dumps(asdict(cost)),
    }
    tensors = {"keep": stack([found.mask for found in circuits])}
    neurons = stacked_neurons(circuits)
    if neurons is not None:
        tensors["neurons"] = neurons
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=facts)


def load_found(path: Path, graph: ComputationalGraph) -> tuple[list[FoundCircuit], Meter] | None:
    """What `save_found` wrote, or None if there is no such file, or a damaged one."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts, keep = file.metadata(), file.get_tensor("keep")
            has_neurons = "neurons" in file.keys()  # noqa: SIM118
            neurons = file.get_tensor("neurons") if has_neurons else [None] * len(keep)
        settings, requested, cost = (
            json.loads(facts[name]) for name in ("settings", "requested", "cost")
        )
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    rows = zip(keep, settings, requested, neurons, strict=True)
    return [FoundCircuit(EdgeMask(graph, m), s, n, kept) for m, s, n, kept in rows], Meter(**cost)

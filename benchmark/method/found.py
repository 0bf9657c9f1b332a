"""What discovery gives: circuits, and the scores that ranked their edges where there are any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.graph.circuits_file import StoredCircuits, StoredScores
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, as_array, stack
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit, stacked_neurons


@dataclass(frozen=True, eq=False)
class FoundCircuits(Sequence[FoundCircuit]):
    """A sequence of circuits, with what else discovery has to say.

    Attributes:
        circuits: the circuits.
        scores: the scores of all edges by which they were chosen, by what tells several rankings
            apart: "price=0.001"; a single one has an empty name. They rank as the method did.
        warnings: what a reader should know.
    """

    circuits: Sequence[FoundCircuit]
    scores: Mapping[str, EdgeScores] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    @classmethod
    def of(cls, given: Sequence[FoundCircuit]) -> "FoundCircuits":
        """What a method gave, which may have scores and warnings, or be circuits alone."""
        return given if isinstance(given, cls) else cls(given)

    @classmethod
    def of_scores(
        cls,
        scores: EdgeScores,
        sizes: Sequence[int],
        choose: Callable[[EdgeScores, int], EdgeMask] = EdgeScores.top,
    ) -> "FoundCircuits":
        """The best edges of each size; `choose` may be `EdgeScores.greedy` too."""
        circuits = [FoundCircuit(choose(scores, size), f"size={size}", size) for size in sizes]
        return cls(circuits, {"": scores})

    @classmethod
    def ranked(
        cls,
        circuits: Sequence[FoundCircuit],
        probabilities: Float[Tensor, "circuits src dst"] | None = None,
    ) -> "FoundCircuits":
        """Circuits, the one at the largest price (or threshold, ...) last, and their ranking.

        An edge ranks by the last circuit that keeps it, and among the edges of one by the mean of
        its `probabilities`, or by how many circuits keep it: its score is the number of that
        circuit, from 1 (0 where none keeps it), plus half the mean.
        """
        if not circuits:
            return cls(circuits)
        keep = stack([found.mask for found in circuits])
        numbers = torch.arange(1, len(circuits) + 1).to(keep)
        last = (numbers[:, None, None] * (keep > 0)).amax(0)
        mean = (keep if probabilities is None else probabilities).mean(0)
        scores = EdgeScores(circuits[0].mask.graph, last + mean / 2, signed=True)
        return cls(circuits, {"": scores})

    def on(self, device: str) -> "FoundCircuits":
        """The same on another device."""
        scores = {name: one.on(device) for name, one in self.scores.items()}
        return FoundCircuits([one.on(device) for one in self.circuits], scores, self.warnings)

    def __len__(self) -> int:
        return len(self.circuits)

    @overload
    def __getitem__(self, index: int) -> FoundCircuit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FoundCircuit]: ...
    def __getitem__(self, index: int | slice) -> FoundCircuit | Sequence[FoundCircuit]:
        return self.circuits[index]


def save_circuits(path: Path, circuits: Sequence[FoundCircuit]) -> None:
    """Write circuits of one graph with all that is known of them, atomically."""
    neurons = stacked_neurons(circuits)
    StoredCircuits(
        circuits[0].mask.graph.outline,
        as_array(stack([found.mask for found in circuits])),
        tuple(found.setting for found in circuits),
        tuple(found.requested_size for found in circuits),
        None if neurons is None else as_array(neurons),
    ).write(path)


def load_circuits(path: Path) -> list[FoundCircuit]:
    """The circuits that `save_circuits` wrote.

    Raises:
        UserError: the file is missing, damaged, or of another kind.
    """
    stored = StoredCircuits.read(path)
    graph = ComputationalGraph.of_outline(stored.graph)
    masks = [EdgeMask(graph, keep) for keep in torch.from_numpy(stored.keep)]
    none = stored.neurons is None
    neurons = [None] * len(masks) if none else torch.from_numpy(stored.neurons)
    rows = zip(masks, stored.settings, stored.requested, neurons, strict=True)
    return [FoundCircuit(*row) for row in rows]


def save_scores(path: Path, scores: Mapping[str, EdgeScores]) -> None:
    """Write rankings of one graph, atomically."""
    StoredScores(
        next(iter(scores.values())).graph.outline,
        np.stack([as_array(one.value) for one in scores.values()]),
        tuple(scores),
        tuple(one.signed for one in scores.values()),
    ).write(path)


def load_scores(path: Path) -> dict[str, EdgeScores]:
    """The rankings that `save_scores` wrote, by name.

    Raises:
        UserError: the file is missing, damaged, or of another kind.
    """
    stored = StoredScores.read(path)
    graph = ComputationalGraph.of_outline(stored.graph)
    rows = zip(stored.names, torch.from_numpy(stored.value), stored.signed, strict=True)
    return {name: EdgeScores(graph, value, signed) for name, value, signed in rows}

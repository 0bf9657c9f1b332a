"""The contract of a circuit-discovery method: what it may see, and what it gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask
from benchmark.method.problem import Problem


@dataclass(frozen=True, eq=False)
class FoundCircuit:
    """A circuit and what made it.

    Attributes:
        mask: the circuit.
        setting: what the method was set to for it, as in tables: "price=0.001".
        requested_size: edges that were asked for, or None where the method chose the size.
        neurons: how much of each coordinate that a source writes is kept on the edges of the
            mask; None keeps them whole.
    """

    mask: EdgeMask
    setting: str = ""
    requested_size: int | None = None
    neurons: Float[Tensor, "src d_model"] | None = None

    @property
    def size(self) -> int | float:
        """Kept edges; with neurons, each counts as the share of its source's that are kept.

        The weighted edge count of the MIB circuit track (Mueller et al. 2025, arXiv 2504.13151).
        """
        if self.neurons is None:
            return self.mask.size
        weights = (self.mask.keep > 0).sum(1) * (self.neurons > 0).sum(1)
        return int(weights.sum()) / self.neurons.shape[1]

    def on(self, device: str) -> "FoundCircuit":
        """The circuit on another device."""
        mask = EdgeMask(self.mask.graph, self.mask.keep.detach().to(device))
        neurons = None if self.neurons is None else self.neurons.detach().to(device)
        return replace(self, mask=mask, neurons=neurons)


def stacked_neurons(
    circuits: Sequence[FoundCircuit],
) -> Float[Tensor, "circuits src d_model"] | None:
    """The neurons of all circuits, or None if all are of whole edges.

    Raises:
        UserError: only some have neurons.
    """
    neurons = [found.neurons for found in circuits if found.neurons is not None]
    if len(neurons) not in (0, len(circuits)):
        raise UserError(
            f"{len(neurons)} of {len(circuits)} circuits say which neurons they keep; all must, "
            "or none"
        )
    return torch.stack(neurons) if neurons else None


@runtime_checkable
class CircuitMethod(Protocol):
    """A way to find circuits; settings are fields, and defaults live in its yaml.

    `uses` names the settings of the cell that the method looks at, out of `problem.USES`; it is
    given no other, and no other decides the key of its records. A class variable will do, and a
    property where it depends on the method's own settings. `version` is raised when the same
    settings give other circuits. What it finds, what that costs and under which ablations it works
    stands in the first lines of its yaml, for the list of methods.
    """

    version: ClassVar[int]

    @property
    def uses(self) -> frozenset[str]:
        """The cell's settings that it looks at, as it is set: out of `problem.USES`."""
        ...

    def unsupported(self, problem: Problem) -> str | None:
        """Why the method cannot work on this problem, in a sentence; None if it can."""
        ...

    def discover(self, problem: Problem, sizes: Sequence[int]) -> Sequence[FoundCircuit]:
        """Circuits of about these numbers of edges, or, without `sizes`, of its own choice.

        A method that ranks edges gives `FoundCircuits`, which have the scores too.
        """
        ...


@runtime_checkable
class ReadsFiles(Protocol):
    """A method that shows what is in the user's files; their content decides the record's key."""

    def data_digest(self) -> str | None:
        """A digest of all that is read, or None where no file is named.

        Raises:
            UserError: a file cannot be read.
        """
        ...

"""The contract of a circuit-discovery method: what it may see, and what it gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.ablation import Ablation, Replacement
from benchmark.batch import Batch, concatenate
from benchmark.errors import UserError
from benchmark.graph import ComputationalGraph
from benchmark.mask import EdgeMask
from benchmark.metric import Metric
from benchmark.model import LanguageModel
from benchmark.optimal import Constants, Optimal
from benchmark.pass_memory import masks_that_fit
from benchmark.values import SourceValues


@dataclass(frozen=True, eq=False)
class Problem:
    """All that a method may see.

    Attributes:
        model: the model.
        batches: prompts of the train split.
        metric: what attribution methods attribute.
        ablation: what ablated edges carry.
        references: circuits known beforehand, by name; only a method that shows them may look.
        seed: of everything random in the method.
        training_steps: optimiser steps of methods that train and have no number of their own;
            None leaves it to the method.
        work_folder: a folder for checkpoints, or None to keep none.
        shared_folder: a folder for what is costly and the same for many records, or None.
    """

    model: LanguageModel
    batches: Sequence[Batch]
    metric: Metric
    ablation: Ablation
    references: dict[str, EdgeMask]
    seed: int
    training_steps: int | None
    work_folder: Path | None
    shared_folder: Path | None = None

    @property
    def graph(self) -> ComputationalGraph:
        """The model's graph."""
        return self.model.graph

    @cached_property
    def replacement(self) -> Replacement:
        """The fitted ablation, for methods that measure single edges or gradients.

        Under optimal ablation it is the constants that lose least when each source is ablated
        alone (Li & Janson 2024, arXiv 2409.09951, section 2.2), trained by the ablation's recipe.
        """
        if not isinstance(self.ablation, Optimal):
            return self.ablation.fit(self.model, self.batches)
        return self._constants_of_single_sources(self.ablation)

    def _constants_of_single_sources(self, optimal: Optimal) -> Constants:
        """Trained in groups of sources that fit into memory.

        A constant has gradient from its own source's row alone, so what each group learned adds up.
        """
        n_positions = max(batch.n_positions for batch in self.batches)
        n_at_once = masks_that_fit(self.model, optimal.batch_size, n_positions)
        one_at_a_time = (1 - torch.eye(self.graph.n_sources))[..., None]
        start = optimal.fit(self.model, self.in_batches(optimal.batch_size)).rows
        total = start
        for first in range(0, self.graph.n_sources, n_at_once):
            learned = optimal.train(
                self.model,
                one_at_a_time[first : first + n_at_once],
                self.batches,
                one_set=True,
                checkpoint=self.checkpoint(f"constants of single sources {first}"),
            ).rows
            triples = zip(total.tensors, learned.tensors, start.tensors, strict=True)
            values, heads, mlps = (t + new - old for t, new, old in triples)
            total = SourceValues(values, heads, mlps, start.keep_first)
        return Constants(total)

    def checkpoint(self, name: str) -> Path | None:
        """Where a training loop may keep its state."""
        if self.work_folder is None:
            return None
        return self.work_folder / f"{name.replace(' ', '_')}.checkpoint"

    def in_batches(self, size: int) -> list[Batch]:
        """The prompts in batches of another size."""
        return concatenate(list(self.batches)).in_parts(size)


@dataclass(frozen=True, eq=False)
class FoundCircuit:
    """A circuit and what made it.

    Attributes:
        mask: the circuit.
        setting: what the method was set to for it, as in tables: "lambda=0.001".
        requested: edges that were asked for, or None where the method chose the size.
        neurons: how much of each coordinate that a source writes is kept on the edges of the
            mask; None keeps them whole.
    """

    mask: EdgeMask
    setting: str
    requested: int | None = None
    neurons: Float[Tensor, "src d_model"] | None = None

    @property
    def n_edges(self) -> int | float:
        """Kept edges; with neurons, each counts as the share of its source's that are kept.

        The weighted edge count of the MIB circuit track (Mueller et al. 2025, arXiv 2504.13151).
        """
        if self.neurons is None:
            return self.mask.n_edges
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

    `version` is raised when the same settings give other circuits. `cost` says what discovery costs
    in passes per training prompt, or in all, for the list of methods; records hold what it took.
    """

    version: ClassVar[int]
    cost: ClassVar[str]

    def unsupported(self, problem: Problem) -> str | None:
        """Why the method cannot work on this problem, in a sentence; None if it can."""
        ...

    def discover(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """Circuits of about these numbers of edges, or of sizes of the method's own choice."""
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

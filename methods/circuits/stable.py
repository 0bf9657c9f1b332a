"""Stable circuits: the edges that a method finds again on other prompts; on the others it abstains.

Another method works on subsamples of the prompts, or several records' scores stand for them (seeds,
halves), without new discovery. An edge is in the circuit of a size if it is in at least a share of
the members' circuits of that size: in all of them or, at a share of 0, in any. (The bootstrap of
Nikankin et al. 2025, arXiv 2510.25786, and the deletion of prompts of Certified Circuits, arXiv
2602.22968, without its certificate.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import torch

from benchmark.config import described
from benchmark.digests import digest
from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask, stack
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import CircuitMethod, FoundCircuit
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from benchmark.prompts.batch import concatenate
from benchmark.seeds import generator
from methods.circuits.scoring.files import PATHS_TO_TYPE, Take, digest_of, files_of, rankings_of
from methods.circuits.scoring.other_method import other_method
from methods.circuits.scoring.selection import Selection, circuits_of_sizes
from methods.ranges import check_above_zero, check_counts, check_not_below_zero


@dataclass(frozen=True)
class Stable:
    """Settings of stable circuits; see conf/method/stable.yaml."""

    base: str
    base_settings: dict[str, Any]
    subsamples: int
    prompts: float
    paths: list[str]
    share: float
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_counts(self, "subsamples")
        check_not_below_zero(self, "share")
        check_above_zero(self, "prompts")
        for name in ("share", "prompts"):
            if getattr(self, name) > 1:
                raise UserError(f"method.{name}={getattr(self, name)} is a share, of at most 1")

    @cached_property
    def method(self) -> CircuitMethod:
        """The method that works on subsamples.

        Raises:
            UserError: there is none of that name, or it finds no circuits of sizes asked for.
        """
        method = other_method(self.base, self.base_settings)
        if "sizes" not in method.uses:
            raise UserError(
                f"method.base={self.base} chooses its own sizes; type method.base=eap or another "
                "method that ranks edges"
            )
        return method

    @property
    def uses(self) -> frozenset[str]:
        """What the method on subsamples uses."""
        return frozenset({"sizes"}) if self.paths else self.method.uses | {"sizes"}

    def unsupported(self, problem: Problem) -> str | None:
        """What the method on subsamples cannot do."""
        if self.paths:
            return None
        asked = self._subsample(problem, 0) if problem.batches else problem
        return self.method.unsupported(asked)

    def data_digest(self) -> str | None:
        """A digest of the records, or of the method on subsamples with its version.

        Raises:
            UserError: a file cannot be read.
        """
        if self.paths:
            return digest_of(self._files())
        return digest([described(self.method), self.method.version])

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """For each size the edges of enough members; they rank by their share over all sizes.

        Raises:
            UserError: a record has no scores, or the method finds circuits of neurons.
        """
        members = self._of_records(problem, sizes) if self.paths else self._found(problem, sizes)
        if any(circuit.neurons is not None for circuit in members):
            raise UserError("stable circuits are of edges; type method.base_settings={}")
        shares = [
            stack([one.mask for one in members if one.requested_size == size]).mean(0)
            for size in sizes
        ]
        circuits = []
        for size, share in zip(sizes, shares, strict=True):
            kept = (share > 0) & (share >= self.share)
            abstained = int(((share > 0) & ~kept).sum())
            setting = f"size={size} share={self.share:g} abstained={abstained}"
            circuits.append(FoundCircuit(EdgeMask(problem.graph, kept.float()), setting))
        scores = EdgeScores(problem.graph, torch.stack(shares).mean(0), signed=True)
        return FoundCircuits(circuits, {"": scores})

    def _found(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        """What the method finds on each subsample of the prompts."""
        parts = (self._subsample(problem, number) for number in range(self.subsamples))
        return [one.on("cpu") for part in parts for one in self.method.discover(part, sizes)]

    def _subsample(self, problem: Problem, number: int) -> Problem:
        """The problem with a random part of its prompts, and with a work folder of its own."""
        batch = concatenate(problem.batches)
        drawn = torch.randperm(
            len(batch), generator=generator(problem.seed, "subsample of prompts", number)
        )
        chosen = drawn[: max(1, round(self.prompts * len(batch)))].sort().values
        folder = problem.work_folder and problem.work_folder / f"subsample_{number}"
        return replace(problem, batches=[batch.select(chosen).trimmed()], work_folder=folder)

    def _of_records(self, problem: Problem, sizes: Sequence[int]) -> list[FoundCircuit]:
        rankings = rankings_of(self._files(), problem.graph)
        found = (circuits_of_sizes(r, sizes, Selection.top, absolute=False) for r in rankings)
        return list(chain(*found))

    def _files(self) -> list[Path]:
        return list(chain(*(files_of(path, Take.scores, PATHS_TO_TYPE) for path in self.paths)))

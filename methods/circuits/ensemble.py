"""Ensembles: the scores of several records of one model, normalised and combined edge by edge.

No model is run: what other methods, seeds or prompts have left ranks the edges once more (parallel
ensembles of Mondorf et al. 2025, arXiv 2510.06811). An ensemble of one is that one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.graph.scores import EdgeScores
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from methods.circuits.scoring.files import (
    PATHS_TO_TYPE,
    Take,
    digest_of,
    files_of,
    rankings_of,
    with_sign,
)
from methods.circuits.scoring.selection import Selection, circuits_of_sizes


class Normalise(Enum):
    """How scores of several methods become alike.

    `largest`: divided by their largest magnitude. `ranks`: the share of edges that rank lower.
    """

    largest = "largest"
    ranks = "ranks"


class Combine(Enum):
    """What several normalised scores of one edge come to."""

    mean = "mean"
    min = "min"
    max = "max"


@dataclass(frozen=True)
class Ensemble:
    """Settings of ensembles; see conf/method/ensemble.yaml."""

    paths: list[str]
    combine: Combine
    normalise: Normalise
    absolute: bool | None
    selection: Selection
    uses: ClassVar[frozenset[str]] = frozenset({"sizes"})
    version: ClassVar[int] = 1

    def unsupported(self, problem: Problem) -> str | None:
        """Without records there is nothing to combine."""
        return None if self.paths else f"no record is named; {PATHS_TO_TYPE}"

    def data_digest(self) -> str | None:
        """A digest of the names and contents of all files, or None where none is named.

        Raises:
            UserError: a file cannot be read.
        """
        return digest_of(self._files()) if self.paths else None

    def discover(self, problem: Problem, sizes: Sequence[int]) -> FoundCircuits:
        """The circuits of these sizes by the combined scores.

        Raises:
            UserError: a file cannot be read, is of another graph, or has no scores.
        """
        rankings = rankings_of(self._files(), problem.graph)
        alike = torch.stack([self._normalised(with_sign(one, self.absolute)) for one in rankings])
        value = {
            Combine.mean: alike.mean(0),
            Combine.min: alike.amin(0),
            Combine.max: alike.amax(0),
        }[self.combine]
        scores = EdgeScores(problem.graph, value, signed=True)
        return circuits_of_sizes(scores, sizes, self.selection, absolute=False)

    def _normalised(self, scores: EdgeScores) -> Float[Tensor, "src dst"]:
        """What edges rank by, alike for all methods; in float64, in which no two become equal."""
        if self.normalise is Normalise.largest:
            known = scores.rank_by.double().masked_fill(~scores.graph.exists, 0)
            return known / (known.abs().max() or 1)
        lower = torch.zeros(scores.value.numel(), dtype=torch.float64)
        places = torch.arange(scores.graph.n_edges, dtype=torch.float64)
        lower[scores.ranking()] = 1 - (places + 1) / scores.graph.n_edges
        return lower.view_as(scores.value)

    def _files(self) -> list[Path]:
        return list(chain(*(files_of(path, Take.scores, PATHS_TO_TYPE) for path in self.paths)))

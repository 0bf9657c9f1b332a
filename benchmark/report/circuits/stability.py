"""How alike one method's circuits and rankings are on other prompts, from what records left.

No circuit is sought anew: records of one cell with other seeds saw other prompts (and, of methods
that draw, drew anew). Pairs share records, so Student's interval over records is somewhat too
narrow.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.graph.circuits_file import StoredCircuits, StoredScores
from benchmark.records.record import CIRCUITS_FILE, SCORES, Record
from benchmark.report.frame import Results

UNKNOWN = float("nan")


class Stability:
    """The likeness of records of one cell but for the seed."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._read: dict[tuple[str, float | None], NDArray[Any] | None] = {}

    def jaccard(
        self, record: Record, at_share: float, among: Sequence[Record] | None = None
    ) -> float:
        """The mean, over other seeds, of the edges of both circuits by the edges of either.

        Args:
            record: whose circuit is compared: the largest with at most this share of all edges.
            at_share: that share.
            among: the records that its other seeds are taken of; None is all.
        """
        return self._mean(record, among, at_share, _jaccards)

    def rank_correlation(self, record: Record) -> float:
        """The mean, over other seeds, of Spearman's correlation of the scores of all edges."""
        return self._mean(record, None, None, _correlations)

    def _mean(
        self,
        record: Record,
        among: Sequence[Record] | None,
        at_share: float | None,
        alike: Callable[[NDArray[Any], Sequence[NDArray[Any]]], NDArray[np.float64]],
    ) -> float:
        """The mean likeness to other seeds, of circuits at a share or else of rankings."""
        cell, seed = self._cell(record), record.config["seed"]
        known = self._by_cell[cell]
        if among is not None:
            known = [one for one in among if self._cell(one) == cell]
        own = self._of(record, at_share)
        twins = [self._of(one, at_share) for one in known if one.config["seed"] != seed]
        others = [one for one in twins if one is not None]
        return float(alike(own, others).mean()) if own is not None and others else UNKNOWN

    def _cell(self, record: Record) -> tuple[str, ...]:
        return tuple(self._results.labels[record.key].values())

    @cached_property
    def _by_cell(self) -> dict[tuple[str, ...], list[Record]]:
        found: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        for record in self._results.done:
            found[self._cell(record)].append(record)
        return found

    def _of(self, record: Record, at_share: float | None) -> NDArray[Any] | None:
        """What is compared of a record, read once; None where it has none."""
        place = record.key, at_share
        if place not in self._read:
            folder = self._results.paths.get(record.key)
            read = _ranks if at_share is None else partial(_edges, at_share=at_share)
            self._read[place] = None if folder is None else read(record, folder)
        return self._read[place]


def _edges(record: Record, folder: Path, at_share: float) -> NDArray[np.intp] | None:
    """The edges of the largest circuit of at most that share of them; None if none is so small."""
    keep = StoredCircuits.read(folder / CIRCUITS_FILE).keep > 0
    sizes = keep.sum(axis=(1, 2))
    fitting = np.where(sizes <= at_share * record.n_edges, sizes, 0)
    return np.flatnonzero(keep[int(fitting.argmax())]) if fitting.any() else None


def _ranks(record: Record, folder: Path) -> NDArray[np.float64] | None:
    """Standardised ranks of all edges, means for ties; None where no one ranking was left."""
    stored = StoredScores.read(folder / SCORES) if SCORES in record.files else None
    if stored is None or len(stored.names) != 1:
        return None
    value = stored.value[0] if stored.signed[0] else np.abs(stored.value[0])
    ranks = pd.Series(value[stored.graph.exists]).rank().to_numpy(float)
    return _standardised(ranks)


def _standardised(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of mean 0 and length 1; undefined where all are equal."""
    apart = ranks - ranks.mean()
    return apart / (np.linalg.norm(apart) or UNKNOWN)


def _jaccards(own: NDArray[np.intp], others: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    """Of a circuit and each of others, none of them empty."""
    sizes = np.array([len(one) for one in others])
    shared = np.isin(np.concatenate(others), own, kind="table")
    both = np.add.reduceat(shared.astype(np.intp), sizes.cumsum() - sizes)
    return both / (len(own) + sizes - both)


def _correlations(
    own: NDArray[np.float64], others: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Of standardised ranks."""
    return np.array([own @ one for one in others])

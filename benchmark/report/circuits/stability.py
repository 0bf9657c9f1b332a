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
        return self._mean(record, among, at_share, _jaccard)

    def rank_correlation(self, record: Record) -> float:
        """The mean, over other seeds, of Spearman's correlation of the scores of all edges."""
        return self._mean(record, None, None, _correlation)

    def _mean(
        self,
        record: Record,
        among: Sequence[Record] | None,
        at_share: float | None,
        alike: Callable[[NDArray[Any], NDArray[Any]], float],
    ) -> float:
        """The mean likeness to other seeds, of circuits at a share or else of rankings."""
        cell, seed = self._cell(record), record.config["seed"]
        known = self._by_cell[cell] if among is None else among
        twins = [one for one in known if self._cell(one) == cell and one.config["seed"] != seed]
        if not twins:
            return UNKNOWN
        own, *others = (self._of(one, at_share) for one in (record, *twins))
        found = [alike(own, one) for one in others if own is not None and one is not None]
        return float(np.mean(found)) if found else UNKNOWN

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
    """Ranks of all edges, means for ties; None where the method did not leave one ranking."""
    stored = StoredScores.read(folder / SCORES) if SCORES in record.files else None
    if stored is None or len(stored.names) != 1:
        return None
    value = stored.value[0] if stored.signed[0] else np.abs(stored.value[0])
    return pd.Series(value[stored.graph.exists]).rank().to_numpy(float)


def _jaccard(one: NDArray[np.intp], other: NDArray[np.intp]) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    either = len(one) + len(other) - both
    return both / either if either else UNKNOWN


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if one.std() == 0 or other.std() == 0:
        return UNKNOWN
    return float(np.corrcoef(one, other)[0, 1])

"""The scores of one record under one evaluation ablation, from its curve.

Curves are cut out of the table of all records once, as arrays, so that time grows with the number
of records and not with its square, and by little for each.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.digests import digest
from benchmark.records.names import option
from benchmark.records.record import Record
from benchmark.report.circuits.stability import Stability
from benchmark.report.frame import Results
from benchmark.report.score import FEWEST_RANDOM_CIRCUITS
from benchmark.report.score import GAPS as LOSS_GAPS
from benchmark.statistics.areas import Curve, log_area, ndf_area
from benchmark.statistics.sizes import averaged_draws, edges_needed, gap_curve, nominal_sizes

# A value with the lower and the upper end of its interval; NaN where one is not known.
Interval = tuple[float, float, float]
Columns = dict[str, NDArray[np.float64]]
CELL = ["key", "evaluation"]
EDGES = {f"edges_at_{gap}": gap for gap in LOSS_GAPS}
GAPS, FAITHFULNESS, NDF = (
    [name, f"{name}_low", f"{name}_high"] for name in ("loss_gap", "faithfulness", "ndf")
)
UNKNOWN = float("nan")


class CellScores:
    """Scores of the records of circuits of some results."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self.stability = Stability(results)

    def value(self, record: Record, evaluation: str, name: str, at_share: float) -> Interval:
        """A score and its interval; see `SCORES` for the names."""
        known: dict[str, Callable[[], Interval | float]] = {
            "log_area": lambda: self._log_area(record, evaluation),
            "loss_gap": lambda: self._loss_gap(record, evaluation, at_share * record.n_edges),
            "faithfulness": lambda: self._faithfulness(record, evaluation, at_share),
            "ndf": lambda: self._ndf(record, evaluation),
            "z": lambda: self._z(record, evaluation, at_share),
            "jaccard": lambda: self.stability.jaccard(record, at_share),
            "rank_correlation": lambda: self.stability.rank_correlation(record),
        }
        if name in EDGES:
            return edges_needed(self._circuits[record.key, evaluation], EDGES[name], record.n_edges)
        if name in known:
            found = known[name]()
            return found if isinstance(found, tuple) else (found, UNKNOWN, UNKNOWN)
        numbers = record.recovery if name.startswith("auroc") else record.areas[evaluation]
        low, high = (numbers.get(f"{name}_{end}", UNKNOWN) for end in ("low", "high"))
        return numbers.get(name, UNKNOWN), low, high

    @cached_property
    def _curves(self) -> "_Cut":
        rows = self._results.tables
        rows = rows.assign(nominal_size=nominal_sizes(rows))
        columns = ["nominal_size", "requested_size", "loss_gap", *FAITHFULNESS, *NDF]
        # Records of earlier code have neither NDF nor intervals.
        return _Cut(rows.assign(**dict.fromkeys(set(columns) - set(rows), UNKNOWN)), columns)

    @cached_property
    def _circuits(self) -> "_Cut":
        """The curves, with the draws of one requested size averaged."""
        return _Cut(averaged_draws(self._results.tables, CELL), ["size", *GAPS])

    @cached_property
    def _random(self) -> dict[str, list[Record]]:
        """Records of random circuits, by prompts and model."""
        found: dict[str, list[Record]] = defaultdict(list)
        for record in self._results.done:
            if option(record, "method") == "random":
                found[_prompts_and_model(record)].append(record)
        return found

    def _log_area(self, record: Record, evaluation: str) -> Interval:
        circuits, ends = self._circuits[record.key, evaluation], record.ends[evaluation]
        areas = [log_area(gap_curve(circuits, ends, record.n_edges, column)) for column in GAPS]
        return areas[0], areas[1], areas[2]

    def _loss_gap(self, record: Record, evaluation: str, most_edges: float) -> Interval:
        best = _best(self._circuits[record.key, evaluation], most_edges)
        if best is None:
            return UNKNOWN, UNKNOWN, UNKNOWN
        return best[0], best[1], best[2]

    def _faithfulness(self, record: Record, evaluation: str, at_share: float) -> Interval:
        most = at_share * record.n_edges
        curves = self._between(record, evaluation, FAITHFULNESS)
        found = [curve.at(most) if curve.is_measured(most) else UNKNOWN for curve in curves]
        return found[0], found[1], found[2]

    def _ndf(self, record: Record, evaluation: str) -> Interval:
        found = [ndf_area(curve) for curve in self._between(record, evaluation, NDF)]
        return found[0], found[1], found[2]

    def _between(self, record: Record, evaluation: str, columns: list[str]) -> Iterator[Curve]:
        """Curves from 0, of the empty circuit, to 1, of the whole model; the unknown has none."""
        curve = self._curves[record.key, evaluation]
        for column in columns:
            known = not np.isnan(curve[column]).all()
            sizes = curve["nominal_size"].tolist() if known else []
            values = curve[column].tolist() if known else []
            yield Curve(sizes, values, empty=0.0, full=1.0, n_edges=record.n_edges)

    def _z(self, record: Record, evaluation: str, at_share: float) -> float:
        """How many standard deviations below random circuits of a size (Li & Janson 2024, app. F).

        The random circuits are those of one record on the same prompts, drawn for the largest size
        asked for that is within the share.
        """
        drawn = self._random_curve(record, evaluation)
        if drawn is None:
            return UNKNOWN
        sizes = drawn["requested_size"]
        fitting = sizes[sizes <= at_share * record.n_edges]
        if not len(fitting):
            return UNKNOWN
        gaps = drawn["loss_gap"][sizes == fitting.max()]
        best = _best(self._circuits[record.key, evaluation], float(fitting.max()))
        if best is None or len(gaps) < FEWEST_RANDOM_CIRCUITS or not gaps.std():
            return UNKNOWN
        return float((best[0] - gaps.mean()) / gaps.std(ddof=1))

    def _random_curve(self, record: Record, evaluation: str) -> Columns | None:
        """The random circuits on the same prompts, if possible those of the same ablation."""
        twins = self._random.get(_prompts_and_model(record), [])
        twins = [other for other in twins if evaluation in other.areas]
        twins.sort(key=lambda other: other.names["ablation"] != record.names["ablation"])
        return self._curves[twins[0].key, evaluation] if twins else None


def _prompts_and_model(record: Record) -> str:
    return digest([record.data, record.model["files"]])


class _Cut:
    """The columns of each curve of a table of many."""

    def __init__(self, rows: pd.DataFrame, columns: Sequence[str]) -> None:
        self._places = rows.groupby(CELL, sort=False).indices
        self._columns = {name: rows[name].to_numpy(float, na_value=np.nan) for name in columns}

    def __getitem__(self, cell: tuple[str, str]) -> Columns:
        places = self._places[cell]
        return {name: values[places] for name, values in self._columns.items()}


def _best(circuits: Columns, most_edges: float) -> tuple[float, ...] | None:
    """The smallest loss gap of circuits of at most so many edges, and its interval."""
    sizes, gaps = circuits["size"], circuits["loss_gap"]
    fitting = (sizes <= most_edges) & (sizes > 0) & ~np.isnan(gaps)
    if not fitting.any():
        return None
    best = np.where(fitting, gaps, np.inf).argmin()
    return tuple(float(circuits[name][best]) for name in GAPS)

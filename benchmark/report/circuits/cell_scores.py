"""The scores of one record under one evaluation ablation, from its curve.

Curves are cut out of the table of all records once, so that time grows with the number of records
and not with its square.
"""

from functools import cached_property

import numpy as np
import pandas as pd

from benchmark.records.names import option
from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.report.score import FEWEST_RANDOM_CIRCUITS
from benchmark.statistics.areas import Curve, log_area
from benchmark.statistics.sizes import averaged_draws, gap_curve, nominal_sizes

# A value with the lower and the upper end of its interval; NaN where one is not known.
Interval = tuple[float, float, float]
CELL = ["key", "evaluation"]
UNKNOWN = float("nan")


class CellScores:
    """Scores of the records of circuits of some results."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def value(self, record: Record, evaluation: str, name: str, at_share: float) -> Interval:
        """A score and its interval; see `SCORES` for the names."""
        if name == "log_area":
            return self._log_area(record, evaluation)
        if name == "loss_gap":
            return self._loss_gap(record, evaluation, at_share * record.n_edges)
        if name == "faithfulness":
            return self._faithfulness(record, evaluation, at_share), UNKNOWN, UNKNOWN
        if name == "z":
            return self._z(record, evaluation, at_share), UNKNOWN, UNKNOWN
        if name.startswith("auroc"):
            return record.recovery.get(name, UNKNOWN), UNKNOWN, UNKNOWN
        return record.areas[evaluation][name], UNKNOWN, UNKNOWN

    @cached_property
    def _curves(self) -> dict[tuple[str, str], pd.DataFrame]:
        return _by_cell(self._results.tables)

    @cached_property
    def _circuits(self) -> dict[tuple[str, str], pd.DataFrame]:
        """The curves, with the draws of one requested size averaged."""
        return _by_cell(averaged_draws(self._results.tables, CELL))

    @cached_property
    def _random(self) -> list[Record]:
        return [record for record in self._results.done if option(record, "method") == "random"]

    def _log_area(self, record: Record, evaluation: str) -> Interval:
        circuits, ends = self._circuits[record.key, evaluation], record.ends[evaluation]
        columns = ("loss_gap", "loss_gap_low", "loss_gap_high")
        areas = [log_area(gap_curve(circuits, ends, record.n_edges, column)) for column in columns]
        return areas[0], areas[1], areas[2]

    def _loss_gap(self, record: Record, evaluation: str, most_edges: float) -> Interval:
        best = _best(self._circuits[record.key, evaluation], most_edges)
        if best is None:
            return UNKNOWN, UNKNOWN, UNKNOWN
        return best["loss_gap"], best["loss_gap_low"], best["loss_gap_high"]

    def _faithfulness(self, record: Record, evaluation: str, at_share: float) -> float:
        curve = self._curves[record.key, evaluation]
        sizes, values = nominal_sizes(curve), curve["faithfulness"].tolist()
        found = Curve(sizes, values, empty=0.0, full=1.0, n_edges=record.n_edges)
        most = at_share * record.n_edges
        known = found.is_measured(most) and curve["faithfulness"].notna().any()
        return found.at(most) if known else UNKNOWN

    def _z(self, record: Record, evaluation: str, at_share: float) -> float:
        """How many standard deviations below random circuits of a size (Li & Janson 2024, app. F).

        The random circuits are those of one record on the same prompts, drawn for the largest size
        asked for that is within the share.
        """
        drawn = self._random_curve(record, evaluation)
        if drawn is not None:
            drawn = drawn[drawn["requested_size"] <= at_share * record.n_edges]
        if drawn is None or drawn.empty:
            return UNKNOWN
        size = drawn["requested_size"].max()
        gaps = drawn[drawn["requested_size"] == size]["loss_gap"]
        best = _best(self._circuits[record.key, evaluation], float(size))
        if best is None or len(gaps) < FEWEST_RANDOM_CIRCUITS or not np.std(gaps):
            return UNKNOWN
        return float((best["loss_gap"] - gaps.mean()) / gaps.std())

    def _random_curve(self, record: Record, evaluation: str) -> pd.DataFrame | None:
        """The random circuits on the same prompts, if possible those of the same ablation."""
        twins = [
            other
            for other in self._random
            if other.data == record.data
            and other.model["files"] == record.model["files"]
            and evaluation in other.areas
        ]
        twins.sort(key=lambda other: other.names["ablation"] != record.names["ablation"])
        return self._curves[twins[0].key, evaluation] if twins else None


def _by_cell(rows: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    return dict(iter(rows.groupby(CELL, sort=False)))  # pyright: ignore


def _best(circuits: pd.DataFrame, most_edges: float) -> pd.Series | None:
    fitting = circuits[(circuits["size"] <= most_edges) & (circuits["size"] > 0)]
    return None if fitting.empty else fitting.loc[fitting["loss_gap"].idxmin()]

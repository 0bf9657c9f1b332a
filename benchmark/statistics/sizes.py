"""Circuits by size: draws of one requested size as one circuit; the size that a loss gap needs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.statistics.areas import Curve


def nominal_sizes(rows: pd.DataFrame) -> list[float]:
    """Edges of each circuit: as asked for, or its own where the method chose the size.

    The edges of circuits of neurons are no whole numbers (see `FoundCircuit.size`).
    """
    return rows["requested_size"].astype("Float64").fillna(rows["size"]).tolist()


def averaged_draws(rows: pd.DataFrame, cells: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of one curve, with those of one requested size averaged.

    Otherwise the best of several random draws would count, and more draws would look better.
    Circuits whose size the method chose stay as they are.

    Args:
        rows: circuits of one curve, or of many.
        cells: the columns that tell one curve from another.
    """
    chosen = rows["requested_size"].isna()
    numbers = ["size", "loss_gap", "loss_gap_low", "loss_gap_high"]
    groups = rows[~chosen].groupby([*cells, "requested_size"], sort=True)
    asked = groups[numbers].mean().reset_index().drop(columns="requested_size")
    own = rows.loc[chosen, [*cells, *numbers]].astype(dict.fromkeys(numbers, float))
    return pd.concat([own, asked], ignore_index=True) if len(own) else asked


def gap_curve(
    circuits: pd.DataFrame | Mapping[str, NDArray[np.float64]],
    ends: dict[str, dict[str, float]],
    n_edges: int,
    column: str = "loss_gap",
) -> Curve:
    """The loss gaps of the averaged rows of one curve, or the ends of their intervals."""
    empty, full = (ends[end]["loss_gap"] for end in ("empty", "full"))
    return Curve(circuits["size"].tolist(), circuits[column].tolist(), empty, full, n_edges)


def edges_needed(
    gaps: pd.DataFrame | Mapping[str, NDArray[np.float64]], level: float, n_edges: int
) -> tuple[float, float, float]:
    """The least size with a loss gap of at most `level` nats, and its interval.

    The interval is of the sizes whose own interval of the gap, over prompts, crosses the level:
    from the least whose lower end is at most `level` to the least whose upper end is. The whole
    model has no gap.
    """

    def least(column: str) -> float:
        small = gaps["size"][gaps[column] <= level]
        return float(small.min()) if len(small) else float(n_edges)

    return least("loss_gap"), least("loss_gap_low"), least("loss_gap_high")

"""What the table of all lenses has a row of: loss, agreement, parameters and cost of each."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmark.records.record import Record
from benchmark.report.frame import Results
from benchmark.statistics.bootstrap import interval_of_means

LOSS = "KL(model || lens), nats"
MEASURES = ("loss", "agreement")
# A loss and the ends of its interval: where rows are read, and over all positions.
ENDS = ("loss", "loss_low", "loss_high")
EVERYWHERE = ("loss_everywhere", "everywhere_low", "everywhere_high")


def overall_of(results: Results, record: Record, length: int | None = None) -> dict[str, Any]:
    """Means over layers, the interval of the loss from the bootstrap over rows, and costs.

    Args:
        results: of the record.
        record: of any study that leaves the loss and agreement of every layer and row.
        length: tokens that were read, or None for all.
    """
    after = "" if length is None else f" after {length}"
    loss, agreement = (results.tensor(record.key, f"{name}{after}") for name in MEASURES)
    assert loss is not None
    assert agreement is not None
    (low,), (high,) = interval_of_means(loss.mean(0, keepdims=True))
    spent = record.cost["method"]
    return {
        "loss": float(loss.mean()),
        "loss_low": low,
        "loss_high": high,
        "agreement": float(agreement.mean()),
        "parameters": record.summary["n_parameters"],
        "passes": spent["forward"] + spent["backward"],
        "seconds": spent["seconds"],
    }


def pooled(groups) -> pd.DataFrame:  # noqa: ANN001 - pandas's own type has no public name
    """Means over seeds; the interval of one seed is its own, of several their range."""
    means = groups.mean(numeric_only=True)
    several = groups.size() > 1
    for name, low, high in (ENDS, EVERYWHERE):
        if name in means:
            ends = groups[name].agg(["min", "max"])
            means[low] = means[low].where(~several, ends["min"])
            means[high] = means[high].where(~several, ends["max"])
    return means


def shown_overall(rows: pd.DataFrame, more: Sequence[str] = ()) -> pd.DataFrame:
    """The table as it is shown, the smallest loss first.

    Args:
        rows: what `overall_of` gives, a row for each lens, pooled.
        more: further columns that are shown.
    """
    rows = rows.sort_values("loss")
    return pd.DataFrame(
        {f"mean {LOSS}": [with_ends(row) for row in rows.itertuples()]}
        | {"agreement": [f"{value:.1%}" for value in rows["agreement"]]}
        | {name: [f"{value:.3f}" for value in rows[name]] for name in more}
        | {"parameters": [f"{value:,.0f}" for value in rows["parameters"]]}
        | {"passes": [f"{value:,.0f}" for value in rows["passes"]]}
        | {"seconds": [f"{value:.1f}" for value in rows["seconds"]]},
        index=pd.Index(rows.index, name="lens"),
    )


def with_ends(row) -> str:  # noqa: ANN001 - a named tuple of pandas
    """A loss with its interval."""
    return f"{row.loss:.3f} [{row.loss_low:.3f}, {row.loss_high:.3f}]"

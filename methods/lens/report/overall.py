"""What the table of all lenses has a row of: loss, agreement, parameters and cost of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmark.errors import UserError
from benchmark.records.record import TASK, Record
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


def with_lenses(results: Results) -> pd.DataFrame:
    """All rows of studies of lenses, with the lens that each is of.

    Raises:
        UserError: two records are of one lens and seed, or lenses read different rows.
    """
    lenses = lenses_called(results)
    for records in by_place(results).values():
        refuse_other_rows(records, lenses)
    return results.tables.assign(lens=results.tables["key"].map(lenses))


def by_place(results: Results) -> dict[tuple[str, str], list[Record]]:
    """The finished records of each task and model, which stand side by side."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in results.done:
        labels = results.labels[record.key]
        found.setdefault((labels["task"], labels["model"]), []).append(record)
    return found


def lenses_called(results: Results) -> dict[str, str]:
    """The lens of each study by key, with the settings that were changed of some and not of all."""
    changed = {
        record.key: results.labels[record.key]["method"].split(" ")[1:] for record in results.done
    }
    of_all = set.intersection(*map(set, changed.values())) if changed else set()
    return {
        record.key: " ".join(
            [
                record.config["method"]["lens"],
                *(
                    words
                    for words in changed[record.key]
                    if words not in of_all and not words.startswith("lens=")
                ),
            ]
        )
        for record in results.done
    }


def refuse_other_rows(records: Sequence[Record], called: Mapping[str, str]) -> None:
    """Refuse what cannot stand side by side.

    Args:
        records: of one task and model.
        called: what the lens of each is called, by key.

    Raises:
        UserError: two records are of one lens and seed, or lenses read different rows.
    """
    seen: dict[tuple[str, int], str] = {}
    tests: dict[int, tuple[str, str]] = {}
    for record in records:
        seed = record.config["seed"]
        twin = seen.setdefault((called[record.key], seed), record.key)
        if twin != record.key:
            raise UserError(
                f"records {twin} and {record.key} are of one lens and seed, run with different "
                "settings; delete one, or choose one experiment_name"
            )
        key, test = tests.setdefault(seed, (record.key, str(record.data.get("test"))))
        of_one_task = record.data.get(TASK) == records[0].data.get(TASK)
        if test != str(record.data.get("test")) or not of_one_task:
            raise UserError(
                f"records {key} and {record.key} read different rows of one text; run them alike "
                "(n_test), or choose one experiment_name"
            )

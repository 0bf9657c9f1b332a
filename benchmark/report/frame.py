"""Records as one table: a row per circuit and evaluation ablation, with its cell's names.

A method's label is its name in the grid; where one name stands for several settings, what differs
is added, so that no two kinds of run share a label.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.errors import UserError
from benchmark.record import CURVE, Record, Status
from benchmark.store import Folder, folders


@dataclass(frozen=True)
class Results:
    """Whole records and their curves.

    Attributes:
        records: by key.
        labels: the method's label by key.
        curves: all curves, with the columns task, method, ablation, model, seed, evaluation, key.
    """

    records: dict[str, Record]
    labels: dict[str, str]
    curves: pd.DataFrame

    @property
    def done(self) -> list[Record]:
        """The records with a curve."""
        return [r for r in self.records.values() if r.status is Status.done]


def load(results_dir: Path, experiment: str | None = None) -> Results:
    """All whole records of a folder, or those of one experiment.

    Raises:
        UserError: there is no folder, or no finished record in it.
    """
    found = [(folder, folder.record()) for folder in folders(results_dir)]
    whole = {
        record.key: (folder, record)
        for folder, record in found
        if record is not None and experiment in (None, record.config["experiment_name"])
    }
    records = {key: record for key, (_, record) in whole.items()}
    labels = method_labels(list(records.values()))
    curves = [
        cell_frame(folder, record, labels[key])
        for key, (folder, record) in whole.items()
        if record.status is Status.done
    ]
    if not curves:
        where = f"results_dir={results_dir}" + (f" experiment={experiment}" if experiment else "")
        raise UserError(f"{where} has no finished record; run something first")
    return Results(records, labels, pd.concat(curves, ignore_index=True))


def cell_frame(folder: Folder, record: Record, label: str | None = None) -> pd.DataFrame:
    """The curve of one record, with its names."""
    curve = pd.read_parquet(folder.path / CURVE).rename(columns={"ablation": "evaluation"})
    names = {**record.names, "method": label or record.names["method"]}
    added = {**names, "seed": record.config["seed"], "key": record.key, "n_edges": record.n_edges}
    return curve.assign(**added)


def method_labels(records: Sequence[Record]) -> dict[str, str]:
    """A label for each record's method, by key."""
    settings: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        mine = _settings(record)
        if mine not in settings[record.names["method"]]:
            settings[record.names["method"]].append(mine)
    labels = {}
    for record in records:
        name, mine = record.names["method"], _settings(record)
        others = settings[name]
        differing = [key for key in mine if any(other.get(key) != mine[key] for other in others)]
        added = " ".join(f"{key}={mine[key]}" for key in differing)
        labels[record.key] = f"{name} {added}".strip()
    return labels


def _settings(record: Record) -> dict[str, Any]:
    config = record.config
    name = "attribution_metric"
    kept = {key: value for key, value in config["method"].items() if key != "_target_"}
    return kept | ({name: config[name]} if config[name] else {})

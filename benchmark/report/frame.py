"""Records of a kind as one table: of circuits, a row for each and evaluation ablation, with names.

A label is a record's own name of what was run; where one name stands for several settings, what
differs is added, so that no two kinds of run share a label.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.records.record import CIRCUITS, TABLE, TENSORS, Record, Status
from benchmark.records.store import Folder, folders, members
from benchmark.report.labels import all_labels, evaluation_labels
from benchmark.report.repeated import without_repeated
from benchmark.tensors import read_arrays

# Tables that are joined as soon as they are read.
READ_AT_ONCE = 100
# A record with its folder.
Whole = tuple[Folder, Record]


@dataclass(frozen=True)
class Results:
    """Whole records of one kind, and their tables.

    Attributes:
        records: by key.
        labels: by key, the label of each of `AXES`.
        tables: all their tables (of circuits: curves) as one, with the columns task, method,
            ablation, model, seed, key and n_edges; the ablation that a curve was measured under is
            `evaluation`.
        left_out: a line for each record of any kind that is damaged or foreign.
        paths: by key, the folder of the record.
        repeated: a line for each curve that a record only repeats of another; it is in `tables`,
            and in the `areas` of records, once.
    """

    records: dict[str, Record]
    labels: dict[str, dict[str, str]]
    tables: pd.DataFrame
    left_out: tuple[str, ...] = ()
    paths: dict[str, Path] = field(default_factory=dict)
    repeated: tuple[str, ...] = ()

    @property
    def done(self) -> list[Record]:
        """The records with a table."""
        return [r for r in self.records.values() if r.status is Status.done]

    def tensor(self, key: str, name: str) -> NDArray[np.generic] | None:
        """What a record left under this name beside its table; None if it left none."""
        return read_arrays(self.paths[key] / TENSORS)[0].get(name)


def load(results_dir: Path, experiment: str | None = None, kind: str = CIRCUITS) -> Results:
    """All whole records of one kind of a folder, or those of one experiment.

    Raises:
        UserError: there is no folder, or no finished record of that kind in it.
    """
    found = load_kinds(results_dir, experiment)
    if kind not in found:
        raise UserError(
            f"{_where(results_dir, experiment)} has no finished record of {kind}; it has records "
            f"of {', '.join(found)}"
        )
    return found[kind]


def load_kinds(
    results_dir: Path,
    experiment: str | None = None,
    *,
    unfinished: bool = False,
    only: Mapping[str, Collection[str]] | None = None,
    beside: Callable[[Sequence[Whole]], tuple[Sequence[Whole], tuple[str, ...]]] | None = None,
) -> dict[str, Results]:
    """All whole records of a folder, or those of one experiment, by their kind.

    What is damaged or foreign is left out, and said.

    Args:
        results_dir: the folder.
        experiment: its name, or None for all.
        unfinished: give kinds of which no record is finished, too.
        only: records of these names alone, by "task" and "model".
        beside: gives records to add to those of the folder, and a line for each that is damaged;
            then there need be no folder.

    Raises:
        UserError: there is no folder, or no finished record in it.
    """
    lonely = beside is not None and not results_dir.exists()
    whole, left_out = ([], ()) if lonely else read_whole(results_dir, experiment)
    whole = _chosen(whole, only or {})
    if beside is not None:
        others, also_out = beside(whole)
        whole += _chosen(others, only or {})
        left_out += also_out
    finished = sorted({record.kind for _, record in whole if record.status is Status.done})
    if not finished:
        where = _where(results_dir, experiment, only or {})
        why = f"; {len(left_out)} are left out, the first: {left_out[0]}" if left_out else ""
        raise UserError(f"{where} has no finished record; run something first{why}")
    kinds = sorted({record.kind for _, record in whole}) if unfinished else finished
    return {
        kind: results_of([pair for pair in whole if pair[1].kind == kind], left_out)
        for kind in kinds
    }


def read_whole(results_dir: Path, experiment: str | None) -> tuple[list[Whole], tuple[str, ...]]:
    """The whole records, and a line for each other one."""
    chosen = None if experiment is None else members(results_dir, experiment)
    whole, left_out = [], []
    for folder in folders(results_dir):
        if chosen is None or folder.key in chosen:
            try:
                whole.append((folder, folder.read()))
            except UserError as error:
                left_out.append(str(error))
    return whole, tuple(left_out)


def _chosen(whole: Sequence[Whole], only: Mapping[str, Collection[str]]) -> list[Whole]:
    """The records that have one of the names of each kind."""
    return [
        (folder, record)
        for folder, record in whole
        if all(record.names[kind] in names for kind, names in only.items())
    ]


def _where(
    results_dir: Path, experiment: str | None, only: Mapping[str, Collection[str]] | None = None
) -> str:
    chosen = {kind: " or ".join(names) for kind, names in (only or {}).items()}
    named = {"results_dir": results_dir, "experiment_name": experiment, **chosen}
    return " ".join(f"{name}={value}" for name, value in named.items() if value)


def results_of(whole: list[Whole], left_out: tuple[str, ...] = ()) -> Results:
    """Whole records of one kind, with what those that are finished left."""
    evaluations = evaluation_labels(record for _, record in whole)
    records = {
        record.key: _relabelled(record, evaluations) if evaluations else record
        for _, record in whole
    }
    labels = all_labels(list(records.values()))
    paths = {folder.key: folder.path for folder, _ in whole}
    done = [record for record in records.values() if record.status is Status.done]
    tables = _joined_tables(done, labels, paths)
    if evaluations:
        places = zip(tables["key"], tables["evaluation"], strict=True)
        tables["evaluation"] = [evaluations.get(place, place[1]) for place in places]
    records, tables, repeated = without_repeated(records, labels, tables)
    return Results(records, labels, tables, left_out, paths, repeated)


def _joined_tables(
    records: Sequence[Record], labels: dict[str, dict[str, str]], paths: dict[str, Path]
) -> pd.DataFrame:
    """The tables of finished records as one; joined before pandas, which takes ms for each."""
    if not records:
        return pd.DataFrame()
    parts, n_rows = [], []
    for start in range(0, len(records), READ_AT_ONCE):
        some = records[start : start + READ_AT_ONCE]
        read = [_table(paths[record.key] / TABLE) for record in some]
        # Joined, they give back the room that each was read into, which is many times its own.
        parts.append(pa.concat_tables(read, promote_options="permissive").combine_chunks())
        n_rows += [table.num_rows for table in read]
    joined = pa.concat_tables(parts, promote_options="permissive").combine_chunks().to_pandas()
    added = [
        {**labels[record.key], "seed": record.config["seed"], "key": record.key}
        | {"n_edges": record.n_edges}
        for record in records
    ]
    rows = np.repeat(np.arange(len(records)), n_rows)
    columns = pd.DataFrame(added).iloc[rows].reset_index(drop=True)
    return pd.concat([joined.rename(columns={"ablation": "evaluation"}), columns], axis=1)


def _table(path: Path) -> pa.Table:
    # To begin threads, and to let Arrow open the file, takes longer than to read a small table.
    return pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(use_threads=False)


def _relabelled(record: Record, evaluations: Mapping[tuple[str, str], str]) -> Record:
    """The record, with its evaluation ablations under their labels."""
    parts: dict[str, Any] = {
        part: {evaluations.get((record.key, name), name): found for name, found in of.items()}
        for part in ("evaluation", "areas", "ends")
        for of in [getattr(record, part)]
    }
    return replace(record, **parts)

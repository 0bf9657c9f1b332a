"""Running a record again, in a folder of its own, and comparing every number."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table

from benchmark.errors import UserError, near
from benchmark.graph.circuits_file import read_unpacked
from benchmark.records.record import CIRCUITS_FILE, TABLE, Record, Status
from benchmark.records.store import Folder, folders
from benchmark.run.machine import compute_repeatably
from benchmark.run.recorded import cell_of
from benchmark.run.runner import run_cell

Numbers = NDArray[np.float64]
# Numbers of another machine or number of threads agree up to rounding that training enlarges.
CLOSE = 1e-4
TENSOR_FILE = ".safetensors"


def verify_record(results_dir: Path, key: str) -> tuple[bool, RenderableType]:
    """Whether a record's numbers come out again, and a table of the largest differences.

    Raises:
        UserError: there is no such record, it is damaged, or the code has changed so that it has
            another key.
    """
    folder = Folder(results_dir, key)
    known = [found.key for found in folders(results_dir)]
    if key not in known:
        raise UserError(f"{key} is not a record of results_dir={results_dir}{near(key, known)}")
    record = folder.read()
    if record.status is not Status.done:
        raise UserError(f"{key} is a {record.status.value} record: {record.reason}")
    compute_repeatably()
    with tempfile.TemporaryDirectory() as place:
        again = _run_again(record, Path(place))
        return _compared(record, folder, Folder(Path(place), key), again)


def _run_again(record: Record, place: Path) -> Record:
    cell = cell_of(record, results_dir=str(place), overwrite=False, tracking="off")
    if cell.checked().key != record.key:
        raise UserError(
            f"{record.key} would now have the key {cell.key}: the task, the method, the model or "
            f"the schema has changed; it was made with version {record.versions['ablation-bench']}"
        )
    return run_cell(cell).record


def _compared(
    record: Record, folder: Folder, again: Folder, found: Record
) -> tuple[bool, RenderableType]:
    if found.status is not Status.done:
        return False, f"{record.key}: this time it {found.status.value}: {found.reason}"
    old, new = (pd.read_parquet(place.path / TABLE) for place in (folder, again))
    table = Table("column", "largest difference", title=f"{record.key}: {len(old)} rows")
    # A record of earlier code may lack a column, or a file, that there is by now.
    if len(old) != len(new) or not set(old.columns) <= set(new.columns):
        return False, f"{record.key}: {old.shape} numbers then, {new.shape} now"
    differences = {str(name): _difference(old[name], new[name]) for name in old.columns}
    for name in sorted(name for name in record.files if name.endswith(TENSOR_FILE)):
        differences |= _of_file(folder.path / name, again.path / name)
    worst = max(differences.values(), default=0.0)
    for name, difference in differences.items():
        table.add_row(name, f"{difference:.3g}")
    # A circuit is the same or another: no rounding excuses an edge.
    circuits = Path(CIRCUITS_FILE).stem
    same = not any(of for name, of in differences.items() if name.startswith(f"{circuits}: "))
    verdict = (
        "every number agrees exactly"
        if worst == 0
        else f"numbers agree to {worst:.2g}" + ("" if same else "; the circuits differ")
    )
    return worst <= CLOSE and same, Group(table, verdict)


def _of_file(one: Path, other: Path) -> dict[str, float]:
    """The largest difference of each tensor of a file, as a share of the largest number in it.

    What only one of two files has, or what is called otherwise in the other, is infinitely apart.
    """
    (before, names), (now, others) = (
        read_unpacked(path) if path.exists() else ({}, {}) for path in (one, other)
    )
    found = {
        name: _share_of_largest(before[name].astype(float), now[name].astype(float))
        if name in before and name in now
        else math.inf
        for name in before | now
    }
    if names != others:
        found["names"] = math.inf
    return {f"{one.stem}: {name}": difference for name, difference in found.items()}


def _share_of_largest(before: Numbers, now: Numbers) -> float:
    finite = before[np.isfinite(before)]
    return _apart(before, now, np.asarray(np.abs(finite).max(initial=0) or 1.0))


def _difference(old: pd.Series, new: pd.Series) -> float:
    if not pd.api.types.is_numeric_dtype(old):
        return 0.0 if old.equals(new) else math.inf
    before, now = (x.astype(float).to_numpy() for x in (old, new))
    return _apart(before, now, np.maximum(1, np.abs(before)))


def _apart(before: Numbers, now: Numbers, unit: Numbers) -> float:
    """The largest difference in units; infinite if only one of two numbers is there, or finite."""
    if before.shape != now.shape:
        return math.inf
    finite = np.isfinite(before) & np.isfinite(now)
    if not np.array_equal(before[~finite], now[~finite], equal_nan=True):
        return math.inf
    units = np.broadcast_to(unit, before.shape)[finite]
    return float((np.abs(before[finite] - now[finite]) / units).max(initial=0))

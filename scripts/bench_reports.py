"""Times leaderboard, validate and figures on folders of many records, each in a process of its own.

    python scripts/bench_reports.py --records 250 1000 5000 --cells 2000

The records are copies of one that a small model leaves, as of a grid of 5 tasks, 5 methods, 2
ablations and as many seeds as needed. Printed are the CPU seconds and the peak memory of each verb;
of figures also the seconds for each picture. `validate` is given a grid that it listed before.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

from benchmark.digests import digest
from benchmark.records.record import RECORD, TASK, Record
from benchmark.run.grid.known_grids import remember_grid
from benchmark.run.grid.sweep import Note

TASKS, METHODS, ABLATIONS = 5, 5, 2
COMMAND = str(Path(sys.executable).with_name("ablation-bench"))
CELL = ["model=tiny_gpt2", "task=ioi", "method=random", "ablation=counterfactual"]
PROMPTS = ["n_train=8", "n_test=8"]
NAMES = ("ioi", "random", "mean", "tiny_gpt2")


def main() -> None:
    """Print a table of all sizes and verbs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[250, 1000, 5000])
    parser.add_argument("--cells", type=int, default=2000, help="of validate, at most")
    given = parser.parse_args()
    print(f"{'records':>8} {'verb':>12} {'CPU seconds':>12} {'peak MB':>8}")
    for n_records in given.records:
        with tempfile.TemporaryDirectory() as place:
            results = Path(place) / "results"
            made = _one_record(results)
            keys = _copies(results, made, n_records)
            for name, arguments in _verbs(results, keys[: given.cells]):
                seconds, megabytes = _measured(arguments, Path(place))
                n_pictures = len(list((results / "reports").glob("*.png")))
                each = f", {seconds / n_pictures:.2f} a picture" if name == "figures" else ""
                print(f"{n_records:>8,} {name:>12} {seconds:>12.1f} {megabytes:>8,.0f}{each}")


def _verbs(results: Path, keys: list[str]) -> Iterator[tuple[str, list[str]]]:
    there = f"results_dir={results}"
    yield "leaderboard", ["leaderboard", there]
    typed = ["-m", "task=ioi", f"seed=range({len(keys)})", there]
    _remember(typed, results, keys)
    yield "validate", ["validate", *typed]
    yield "figures", ["figures", "circuits=false", there]


def _one_record(results: Path) -> Path:
    command = [COMMAND, "run", *CELL, *PROMPTS, f"results_dir={results}"]
    subprocess.run(command, check=True, capture_output=True)
    return next(results.glob(f"*/{RECORD}")).parent


def _copies(results: Path, made: Path, n_records: int) -> list[str]:
    """Write the copies and return their keys."""
    record, keys = Record.read(made / RECORD), []
    cells = product(range(n_records), range(TASKS), range(METHODS), range(ABLATIONS))
    for _, (seed, task, method, ablation) in zip(range(n_records), cells, strict=False):
        names = {
            **record.names, "task": f"task{task}", "method": f"method{method}",
            "ablation": f"ablation{ablation}",
        }  # fmt: skip
        keys.append(digest([names, seed])[:16])
        shutil.copytree(made, results / keys[-1])
        data = {
            what: digest([found, task, 0 if what == TASK else seed])
            for what, found in record.data.items()
        }
        config = record.config | {"seed": seed}
        replace(record, key=keys[-1], names=names, data=data, config=config).write(
            results / keys[-1] / RECORD
        )
    shutil.rmtree(made)
    return keys


def _remember(typed: list[str], results: Path, keys: list[str]) -> None:
    """Let `validate` know a grid, as if it had listed it: Hydra takes 0.1 seconds a cell."""
    notes = [
        Note(
            "ioi", "random", "mean", "tiny", seed, (), key, results_dir=str(results), decided_by={}
        )
        for seed, key in enumerate(keys)
    ]
    before = Path.cwd()
    os.chdir(results.parent)
    remember_grid(typed, notes)
    os.chdir(before)


def _measured(arguments: list[str], place: Path) -> tuple[float, float]:
    """CPU seconds and peak megabytes of one command."""
    child = os.fork()
    if child == 0:
        os.chdir(place)
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 1)
        os.execv(COMMAND, [COMMAND, *arguments])
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(arguments)} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()

"""Times leaderboard, validate and figures on folders of many records, each in a process of its own.

    python scripts/bench_reports.py --records 250 1000 5000

The records are copies of one that a small model leaves, as of a grid of 5 tasks, 5 methods, 2
ablations and as many seeds as needed. Printed are the CPU seconds and the peak memory of each verb.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

from benchmark.digests import digest
from benchmark.records.record import RECORD, Record

TASKS, METHODS, ABLATIONS = 5, 5, 2
COMMAND = str(Path(sys.executable).with_name("ablation-bench"))
CELL = ["model=tiny_gpt2", "task=ioi", "method=random", "ablation=counterfactual"]
PROMPTS = ["n_train=8", "n_test=8"]


def main() -> None:
    """Print a table of all sizes and verbs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[250, 1000, 5000])
    sizes = parser.parse_args().records
    print(f"{'records':>8} {'verb':>12} {'CPU seconds':>12} {'peak MB':>8}")
    for n_records in sizes:
        with tempfile.TemporaryDirectory() as place:
            results = Path(place) / "results"
            made = _one_record(results)
            _copies(results, made, n_records)
            for verb in (["leaderboard"], ["figures", "circuits=false"]):
                seconds, megabytes = _measured([*verb, f"results_dir={results}"])
                print(f"{n_records:>8,} {verb[0]:>12} {seconds:>12.1f} {megabytes:>8,.0f}")


def _one_record(results: Path) -> Path:
    command = [COMMAND, "run", *CELL, *PROMPTS, f"results_dir={results}"]
    subprocess.run(command, check=True, capture_output=True)
    return next(results.glob(f"*/{RECORD}")).parent


def _copies(results: Path, made: Path, n_records: int) -> None:
    record = Record.read(made / RECORD)
    cells = product(range(n_records), range(TASKS), range(METHODS), range(ABLATIONS))
    for _, (seed, task, method, ablation) in zip(range(n_records), cells, strict=False):
        names = {
            **record.names, "task": f"task{task}", "method": f"method{method}",
            "ablation": f"ablation{ablation}",
        }  # fmt: skip
        key = digest([names, seed])[:16]
        shutil.copytree(made, results / key)
        data = {split: digest([found, task, seed]) for split, found in record.data.items()}
        config = record.config | {"seed": seed}
        replace(record, key=key, names=names, data=data, config=config).write(
            results / key / RECORD
        )
    shutil.rmtree(made)


def _measured(arguments: list[str]) -> tuple[float, float]:
    """CPU seconds and peak megabytes of one command."""
    child = os.fork()
    if child == 0:
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

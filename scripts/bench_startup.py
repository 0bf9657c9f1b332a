"""Times how long verbs take to start, each in processes of its own, and what they import.

    python scripts/bench_startup.py --repeats 5

Printed are the median CPU seconds of every verb, and until the first forward pass of a cell begins;
the same as multiples of `import torch`; and the packages whose own modules took most of the time.
"""

import argparse
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

VERB = """
import sys
sys.argv = ["ablation-bench", *sys.argv[1:]]
from benchmark.cli.main import main
main()
"""
# Loading compares logits with Hugging Face's, which is the first pass.
FIRST_PASS = """
import os, sys
import benchmark.models.loading as loading
loading.checked_difference = lambda *given, **named: os._exit(0)
"""
GRID = ["-m", "task=ioi", "method=eap,random", "ablation=mean,zero"]
CELL = ["model=tiny_gpt2", "task=ioi", "method=random", "ablation=mean", "n_train=8", "n_test=8"]
IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\w+)")


def main() -> None:
    """Print a line for each verb."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as place:
        runs = {
            "import torch": ("import torch", []),
            "--help": (VERB, ["--help"]),
            "tasks": (VERB, ["tasks"]),
            "methods": (VERB, ["methods"]),
            "validate, a known grid": (VERB, ["validate", *GRID]),
            "run, to its first pass": (FIRST_PASS + VERB, ["run", *CELL]),
        }
        _seconds(*runs["validate, a known grid"], Path(place))
        torch = None
        print(f"{'':24} {'CPU seconds':>11} {'of torch':>8}  most of it")
        for name, (code, arguments) in runs.items():
            taken = [_seconds(code, arguments, Path(place)) for _ in range(repeats)]
            median = statistics.median(taken)
            torch = torch or median
            costly = ", ".join(_costly(code, arguments, Path(place)))
            print(f"{name:24} {median:>11.2f} {median / torch:>8.2f}  {costly}")


def _seconds(code: str, arguments: list[str], place: Path) -> float:
    """CPU seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run([], code, arguments, place)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _costly(code: str, arguments: list[str], place: Path) -> list[str]:
    """The packages whose own modules took longest to import, with their shares."""
    own = Counter[str]()
    for microseconds, package in IMPORT.findall(_run(["-X", "importtime"], code, arguments, place)):
        own[package] += int(microseconds)
    return [f"{name} {n / own.total():.0%}" for name, n in own.most_common(3)]


def _run(options: list[str], code: str, arguments: list[str], place: Path) -> str:
    command = [sys.executable, *options, "-c", code, *arguments]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True)
    return done.stderr


if __name__ == "__main__":
    main()

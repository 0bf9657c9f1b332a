"""Verbs that need no model import nothing heavy, so that they answer at once."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "datasets")
RUN = """
import sys
sys.argv = ["ablation-bench", *sys.argv[1:]]
from benchmark.cli.main import main
try:
    main()
except SystemExit:
    pass
print("IMPORTED", *(name for name in {heavy!r} if name in sys.modules))
"""
JOBS = """
import sys
import benchmark.run.jobs
print("IMPORTED", *(name for name in {heavy!r} if name in sys.modules))
"""


def imported(code: str, heavy: tuple[str, ...], cwd: Path, *arguments: str) -> list[str]:
    """The modules among `heavy` that a fresh interpreter has after this code."""
    command = [sys.executable, "-c", code.format(heavy=heavy), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("arguments", [("--help",), ("tasks",), ("leaderboard", "results_dir=.")])
def test_verbs_without_a_model_import_no_torch(arguments, tmp_path):
    assert imported(RUN, HEAVY, tmp_path, *arguments) == []


@pytest.mark.slow
def test_what_runs_cells_waits_with_what_only_some_cells_need(tmp_path):
    heavy = ("torch._dynamo", "sympy", "pandas", "datasets")
    assert imported(JOBS, heavy, tmp_path) == []

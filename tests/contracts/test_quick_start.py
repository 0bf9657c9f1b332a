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
MODULE = """
import sys
from importlib import import_module
import_module(sys.argv[1])
print("IMPORTED", *(name for name in {heavy!r} if name in sys.modules))
"""


def imported(code: str, heavy: tuple[str, ...], cwd: Path, *arguments: str) -> list[str]:
    """The modules among `heavy` that a fresh interpreter has after this code."""
    command = [sys.executable, "-c", code.format(heavy=heavy), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("tasks",), ("methods",)]
    + [(verb, "results_dir=.") for verb in ("leaderboard", "report")]
    + [("claims", "directory=.")],
)
def test_verbs_without_a_model_import_no_torch(arguments, tmp_path):
    assert imported(RUN, HEAVY, tmp_path, *arguments) == []


@pytest.mark.slow
def test_a_known_grid_is_listed_without_torch_and_without_composing_its_cells(tmp_path):
    grid = ("validate", "-m", "task=ioi", "model=tiny_gpt2", "seed=0,1")
    heavy = (*HEAVY, "benchmark.run.cell")
    assert "benchmark.run.cell" in imported(RUN, heavy, tmp_path, *grid)
    assert imported(RUN, heavy, tmp_path, *grid) == []


def test_jobs_import_what_runs_a_cell_when_there_is_one(tmp_path):
    assert imported(MODULE, HEAVY, tmp_path, "benchmark.run.grid.jobs") == []


@pytest.mark.slow
@pytest.mark.parametrize("module", ["benchmark.run.cell", "benchmark.run.runner"])
def test_what_runs_cells_waits_with_what_only_some_cells_need(tmp_path, module):
    heavy = ("torch._dynamo", "sympy", "datasets", "transformer_lens", "wandb", "matplotlib")
    assert imported(MODULE, heavy, tmp_path, module) == []
    assert module != "benchmark.run.cell" or imported(MODULE, ("pandas",), tmp_path, module) == []

"""Cells of several processes are spread over the GPUs of a machine: what each process is shown."""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from benchmark.run.grid.gpus import VISIBLE, take_gpu
from benchmark.run.grid.sweep import gathering

COMMAND = Path(sys.executable).with_name("ablation-bench")
SPY = """
import os
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from methods.circuits.random import Random

@dataclass(frozen=True)
class Spy(Random):
    def discover(self, problem, sizes):
        Path("seen", f"{os.getpid()}_{problem.seed}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        while len({name.split("_")[0] for name in os.listdir("seen")}) < 2:
            sleep(0.05)
        return super().discover(problem, sizes)
"""
OPTION = "_target_: spy.Spy\ncircuits_per_size: 1\ntolerance: 0.1\n"
GRID = (
    "run", "-m", "plugins=[spy]", "method=spy", "model=tiny_gpt2", "task=ioi", "ablation=zero",
    "seed=0,1,2,3", "n_train=2", "n_test=2", "sizes=[5]", "threads=1",
)  # fmt: skip


def shown_when_asked_twice(barrier):
    """What this process is shown, while all others live."""
    take_gpu()
    take_gpu()
    barrier.wait()
    return os.environ.get(VISIBLE)


def shown_to(n_processes):
    context = get_context("fork")
    with context.Manager() as manager, ProcessPoolExecutor(n_processes, context) as pool:
        barrier = manager.Barrier(n_processes)
        return sorted(pool.map(shown_when_asked_twice, [barrier] * n_processes))


def test_each_process_has_a_gpu_of_its_own_and_more_processes_share_evenly(tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "4,GPU-7")
    with gathering(tmp_path):
        assert shown_to(2) == ["4", "GPU-7"]
        # The processes of before have ended, and left their places.
        assert shown_to(4) == ["4", "4", "GPU-7", "GPU-7"]


@pytest.mark.parametrize("visible", ["", "3"])
def test_one_gpu_or_none_is_left_as_it_is(tmp_path, monkeypatch, visible):
    monkeypatch.setenv(VISIBLE, visible)
    with gathering(tmp_path) as folder:
        assert shown_to(2) == [visible, visible]
        assert not list(folder.glob("gpu_*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), ["0", "5"]),
        # Whoever names a device knows where it is to run.
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "model.device=cpu"), ["0,5", "0,5"]),
    ],
    ids=["auto", "named"],
)
def test_joblib_gives_each_of_its_processes_a_gpu(tmp_path, typed, expected):
    option = tmp_path / "spy" / "conf" / "method" / "spy.yaml"
    option.parent.mkdir(parents=True)
    option.write_text(OPTION)
    (tmp_path / "spy" / "conf" / "__init__.py").touch()
    (tmp_path / "spy" / "__init__.py").write_text(SPY)
    (tmp_path / "seen").mkdir()
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, VISIBLE: "0,5", "PYTHONPATH": path}
    command = [COMMAND, *GRID, *typed]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    by_process = {
        path.name.split("_")[0]: path.read_text() for path in (tmp_path / "seen").iterdir()
    }
    assert sorted(by_process.values()) == expected

"""Workers of joblib, killed at file operations: the same command goes on, and ends alike."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import faults
from support.campaign import age, contents, finished

pytestmark = pytest.mark.slow
COMMAND = Path(sys.executable).with_name("ablation-bench")
GRID = (
    "run", "-m", "method=eap,ugs,component_ablation", "ablation=optimal", "model=tiny_gpt2",
    "constants.steps=2", "training_steps=2", "sizes=[0.1,0.5]", "n_train=4", "n_test=4",
    "threads=1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
)  # fmt: skip
# Python runs this before all else, in every process of a command.
FIRST = """
import os, sys
from pathlib import Path
if any("popen_loky" in word for word in sys.orig_argv):
    from support.faults import at_each_operation, kill_at
    at_each_operation(Path("results").absolute(), kill_at(int(os.environ["CAMPAIGN_KILL"])))
"""
NUMBERS = range(5, 200, 15)


@pytest.fixture
def command(tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(FIRST)
    path = os.pathsep.join([str(tmp_path / "first"), str(Path(faults.__file__).parents[1])])

    def run(cwd, kill_at=0):
        environment = {**os.environ, "PYTHONPATH": path, "CAMPAIGN_KILL": str(kill_at)}
        return subprocess.run(
            [COMMAND, *GRID], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_a_killed_worker_loses_nothing(command, whole, tmp_path, record_property):
    if not whole:
        pytest.skip("every command starts three processes; --whole-campaign tries it")
    (tmp_path / "whole").mkdir()
    assert command(tmp_path / "whole").returncode == 0
    expected, n_killed = contents(tmp_path / "whole" / "results"), 0
    for number in NUMBERS:
        place = tmp_path / str(number)
        place.mkdir()
        killed = command(place, number)
        n_killed += killed.returncode != 0
        assert "Traceback" not in killed.stdout, (number, killed.stdout)
        before = finished(place / "results")
        age(place / "results")
        again = command(place)
        assert again.returncode == 0, (number, again.stderr)
        after = finished(place / "results")
        assert {key: after[key] for key in before} == before
        assert contents(place / "results") == expected
    assert n_killed > len(NUMBERS) // 2
    record_property("killed workers", n_killed)

"""Ctrl-C and SIGTERM, sent to a real command while it trains masks."""

import os
import re
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from support.command import run_in_fork
from support.quick import quick_or_slow

from benchmark.cli.main import main
from benchmark.models.choice import ModelChoice

COMMAND = Path(sys.executable).with_name("ablation-bench")
# The first cell is done at once, the second would take hours.
ENDLESS = (
    "run", "-m", "method=random,ugs", "ablation=counterfactual", "model=tiny_gpt2", "n_train=8",
    "n_test=8", "sizes=[0.1,0.3]", "threads=1", "training_steps=10000000",
)  # fmt: skip
CELL = ("method=random", "ablation=counterfactual", "model=tiny_gpt2", "n_train=8", "n_test=8")


@pytest.fixture
def training(tmp_path):
    """The command, in the middle of its second cell."""
    process = subprocess.Popen(
        [COMMAND, *ENDLESS], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("results/*/checkpoints/*.checkpoint")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield process
    process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_the_table_of_what_is_done(training, tmp_path, number, code):
    training.send_signal(number)
    out, err = training.communicate(timeout=300)
    assert training.returncode == code
    assert re.findall(r"│ ioi (\w+) .*?│ \w+ │ (\w+) ", out) == [
        ("random", "done"),
        ("ugs", "killed"),
    ]
    assert "the same command goes on from there" in err and "Traceback" not in err
    assert not list(tmp_path.glob("results/.sweeps/*/*.json"))


def test_the_second_signal_ends_at_once():
    """Also while the command is still leaving because of the first."""
    code = (
        "import os, signal, sys, time\n"
        "from benchmark.signals import leave_on_signals\n"
        "leave_on_signals()\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except SystemExit as left:\n"
        "    print(left.code, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "print('it went on')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "130\n", "")


@pytest.mark.parametrize("where", [(ModelChoice, "load"), ("benchmark.run.runner", "run_cell")])
@pytest.mark.parametrize("number", quick_or_slow([signal.SIGINT, signal.SIGTERM], [signal.SIGINT]))
def test_a_signal_that_an_import_makes_an_error_of_ends_the_command_too(
    tmp_path, monkeypatch, number, where
):
    """As compiled modules do, that turn what is raised while they begin into an ImportError."""

    def import_that_fails(*_):
        try:
            os.kill(os.getpid(), number)
        except SystemExit as left:
            raise ImportError("initialization failed") from left

    def command():
        place, name = where
        target = import_module(place) if isinstance(place, str) else place
        monkeypatch.setattr(target, name, import_that_fails)
        main()

    told = run_in_fork("run", "-m", "task=ioi,docstring", *CELL, cwd=tmp_path, command=command)
    assert told.returncode == 128 + number, told.stderr
    assert re.findall(r"│ (\w+) random .*?│ \w+ │ (\w+) ", told.stdout) == [("ioi", "killed")]
    assert "the same command goes on from there" in told.stderr and "Error" not in told.stderr
    assert not list(tmp_path.glob("results/*/record.json"))

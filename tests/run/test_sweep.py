"""The notes of a command's cells, and how commands end."""

import errno
import os
import re
import signal
from dataclasses import replace

import pytest
from rich.console import Console
from support.command import run_in_fork

from benchmark.records import record
from benchmark.run import sweep
from benchmark.run.sweep import Note, gathering, note, noted, summary

NOTE = Note("my ioi", "eap", "zero", "tiny", 3, ("n_train=8", "+a='x y'"), "0f", "done", "", None)

TINY = ("method=random", "ablation=counterfactual", "model=tiny_gpt2", "n_train=8", "n_test=8",
        "sizes=[0.1,0.3]", "threads=1")  # fmt: skip


def full_disk(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def shown(notes):
    console = Console(width=140)
    with console.capture() as capture:
        console.print(summary(notes))
    return capture.get()


def test_a_name_with_a_space_hides_no_seed_and_no_change():
    other = replace(NOTE, changes=("n_train=8", "+a='y x'"))
    first, second = (line for line in shown([NOTE, other]).splitlines() if "my ioi" in line)
    assert "my ioi eap zero tiny seed=3 +a='x y' " in first
    assert "my ioi eap zero tiny seed=3 +a='y x' " in second
    assert "n_train" not in first


@pytest.mark.parametrize("report_on", [None, ("results", None), ("results", "first")])
def test_a_note_comes_back_as_it_was(tmp_path, report_on):
    entry = replace(NOTE, report_on=report_on)
    with gathering(tmp_path) as folder:
        note(10, entry)
        note(9, NOTE)
        assert noted(folder) == [NOTE, entry]
    assert sweep.reports_on([entry]) == ([] if report_on is None else [report_on])


@pytest.mark.parametrize(
    ("full", "state", "said"),
    [([sweep], "done", ""), ([sweep, record], "failed", "No space left")],
    ids=["notes", "notes and records"],
)
def test_a_full_disk_ends_with_1_and_all_that_is_known(monkeypatch, tmp_path, full, state, said):
    for module in full:
        monkeypatch.setattr(module, "replacing", full_disk)
    result = run_in_fork("run", "-m", *TINY, "seed=0,1", cwd=tmp_path)
    assert result.returncode == 1
    assert re.findall(r"seed=(\d) +│ \w+ +│ (\w+) ", result.stdout) == [("0", state), ("1", state)]
    assert said in result.stdout and "killed" not in result.stdout
    assert "cannot be noted: No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_note_that_no_longer_holds_goes_when_the_new_one_has_no_room(monkeypatch, tmp_path):
    """Of another process the file is all that is known, and "killed" would be wrong."""
    with gathering(tmp_path) as folder:
        note(0, replace(NOTE, state=sweep.KILLED))
        monkeypatch.setattr(sweep, "replacing", full_disk)
        with pytest.raises(OSError, match="No space"):
            note(0, NOTE)
        assert not list(folder.glob("*.json"))


def test_a_command_that_no_cell_tells_of_has_not_succeeded(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmark.run.jobs.note", lambda *arguments: None)
    result = run_in_fork("run", *TINY, cwd=tmp_path)
    assert result.returncode == 1
    assert "no cell of this command left a note" in result.stderr


def test_the_next_command_removes_what_killed_ones_left_and_nothing_of_living_ones(tmp_path):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        with gathering(tmp_path) as folder:
            note(0, NOTE)
            os.write(write, folder.name.encode())
            signal.pause()
    killed = tmp_path / ".sweeps" / os.read(read, 100).decode()
    with gathering(tmp_path) as living:
        note(0, NOTE)
        assert killed.exists() and living.exists()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        result = run_in_fork("run", *TINY, "n_train=0", f"results_dir={tmp_path}", cwd=tmp_path)
        assert result.returncode == 2
        assert not killed.exists()
        assert noted(living) == [NOTE]
    assert not living.exists()

"""The notes of a command's cells, and how commands end."""

import errno
import os
import pkgutil
import re
import signal
from dataclasses import replace

import pytest
from rich.console import Console
from support.command import run_in_fork
from support.quick import quick_or_slow

from benchmark.records import record
from benchmark.run.grid import sweep
from benchmark.run.grid.sweep import Note, gathering, note, noted, summary

NOTE = Note("my ioi", "eap", "zero", "tiny", 3, ("n_train=8", "+a='x y'"), "0f", "done", "", None)

TINY = ("method=random", "ablation=counterfactual", "model=tiny_gpt2", "n_train=8", "n_test=8",
        "sizes=[0.1,0.3]", "threads=1")  # fmt: skip


def full_disk(*arguments, **settings):
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
    [
        pytest.param([sweep], "done", "", marks=pytest.mark.slow, id="notes"),
        pytest.param([sweep, record], "failed", "No space left", id="notes and records"),
    ],
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
    monkeypatch.setattr("benchmark.run.grid.jobs.note", lambda *arguments: None)
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


def test_nothing_of_a_command_stays_and_what_killed_ones_left_goes(tmp_path):
    results = tmp_path / "made" / "for it"
    with gathering(results) as folder:
        assert folder.is_relative_to(results)
    assert not list(tmp_path.iterdir())
    kept = results / ".shared" / ".kept.abc.part", results / ".sweeps" / "jobs" / ".submitit"
    dead = (
        results / ".0123.lock",
        results / ".sweeps.lock",
        results / ".sweeps" / "killed at once" / "0.json",
        results / ".sweeps" / "2026-01-02_03-04-05" / "multirun.yaml",
        results / ".shared" / ".left.abc.part",
    )
    for path in (*kept, *dead):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    os.utime(dead[-1], (0, 0))
    kept[1].unlink()
    kept[1].mkdir()
    with gathering(results):
        pass
    assert all(path.exists() for path in kept) and not any(path.exists() for path in dead)
    os.utime(kept[1], (0, 0))
    with gathering(results):
        pass
    assert {path.name for path in results.iterdir()} == {".shared"}


def test_a_grid_leaves_its_records_and_nothing_else(tmp_path):
    assert run_in_fork("run", "-m", *TINY, "seed=0,1", cwd=tmp_path).returncode == 0
    names = {path.name for path in tmp_path.glob("results/*/*")}
    assert names == {"record.json", "config.yaml", "log.txt", "table.parquet", record.CIRCUITS_FILE}
    assert len(list(tmp_path.glob("results/*"))) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_what_killed_jobs_of_a_launcher_said_is_kept(tmp_path):
    with gathering(tmp_path) as folder:
        (folder / sweep.QUEUED).mkdir()
        note(0, replace(NOTE, state=sweep.KILLED))
    assert (folder / sweep.QUEUED).is_dir()
    with gathering(tmp_path) as folder:
        (folder / sweep.QUEUED).mkdir()
        note(0, NOTE)
    assert not folder.exists()


@pytest.mark.parametrize("broken", quick_or_slow(["build", "run_cell"], ["build"]))
def test_a_bug_in_one_cell_is_a_line_of_the_table_and_spares_the_others(
    monkeypatch, tmp_path, broken
):
    place = {"build": "benchmark.run.grid.jobs.build", "run_cell": "benchmark.run.runner.run_cell"}
    whole = pkgutil.resolve_name(place[broken])

    def first_fails(given, **where):
        if given.seed == 0:
            raise TypeError("of a plug-in\nin two lines")
        return whole(given, **where)

    monkeypatch.setattr(place[broken], first_fails)
    result = run_in_fork("run", "-m", *TINY, "seed=0,1", cwd=tmp_path)
    assert result.returncode == 1
    state = {"build": "refused", "run_cell": "failed"}[broken]
    assert re.findall(r"seed=(\d) +│ \w* +│ (\w+) ", result.stdout) == [("0", state), ("1", "done")]
    assert "TypeError: of a plug-in in two lines" in result.stdout
    assert "in first_fails" in result.stderr

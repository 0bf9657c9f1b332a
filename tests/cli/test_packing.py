"""Cells in packs: a job runs several, what is there gets no job, and a lost job is told."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import submitit
from support.command import run_in_fork

from benchmark.cli.main import main
from benchmark.cli.packing import Packed
from benchmark.records.record import RECORD
from benchmark.records.store import Folder
from benchmark.run.grid.jobs import with_state
from benchmark.run.grid.sweep import QUEUED, Note, gathering
from benchmark.run.grid.waiting import end_waiting, note_waiting, with_jobs_that_go_on

GRID = (
    "-m", "model=tiny_gpt2", "task=ioi", "method=random", "ablation=zero", "seed=0,1,2,3",
    "n_train=2", "n_test=2", "sizes=[5]", "hydra/launcher=submitit_local",
)  # fmt: skip


class Here:
    """An executor whose jobs run at once, in this process; those of some numbers are lost."""

    def __init__(self, lost=()):
        self.lost, self.packs = lost, []

    def map_array(self, launcher, *columns):
        return [Job(self, launcher, arguments) for arguments in zip(*columns, strict=True)]


class Job:
    def __init__(self, executor, launcher, arguments):
        self.job_id, pack = str(len(executor.packs)), arguments[0]
        executor.packs.append(pack)
        self.lost = len(executor.packs) in executor.lost
        if not self.lost:
            # What a cell is set to is put together once, before; here nothing could do it.
            launcher.hydra_context.config_loader = None
            launcher(*arguments)

    def done(self):
        return True

    def results(self):
        if self.lost:
            raise RuntimeError("a file\nhas no output (state: CANCELLED by 0)\na long log")
        return [None]


def run_with(executor, *arguments, cwd, grid=GRID):
    def command():
        Packed._executor = lambda self: executor
        submitit.JobEnvironment = lambda: SimpleNamespace(job_id="0")
        try:
            main()
        finally:
            sys.stdout.write(
                " ".join(["PACKS", *(str(len(pack)) for pack in executor.packs)]) + "\n"
            )

    return run_in_fork("run", *grid, *arguments, cwd=cwd, command=command)


@pytest.mark.slow
def test_what_is_missing_is_packed_and_a_second_command_submits_nothing(tmp_path):
    done = run_with(Here(), "seed=0,1,2", "cells_per_job=2", cwd=tmp_path)
    assert done.returncode == 0 and "PACKS 2 1" in done.stdout and "3 done" in done.stdout
    more = run_with(Here(), "cells_per_job=2", "experiment_name=again", cwd=tmp_path)
    assert more.returncode == 0 and "PACKS 1\n" in more.stdout
    assert more.stdout.count("was there before") == 3
    # Records that were there belong to the new experiment too.
    assert len(list((tmp_path / "results" / ".experiments" / "again").iterdir())) == 4
    nothing = run_with(Here(), cwd=tmp_path)
    assert nothing.returncode == 0 and "PACKS\n" in nothing.stdout


@pytest.mark.slow
def test_a_job_that_is_lost_is_told_and_the_others_are_waited_for(tmp_path):
    done = run_with(Here(lost=(1,)), "cells_per_job=2", cwd=tmp_path)
    assert done.returncode == 1
    assert "2 killed" in done.stdout and "2 done" in done.stdout
    assert "its job ended before it began" in done.stdout.replace("\n", " ")
    assert "job 0: has no output (state: CANCELLED by 0)" in done.stderr
    assert "long log" not in done.stderr
    assert len(list(tmp_path.glob(f"results/*/{RECORD}"))) == 2


def test_a_cell_waits_while_its_command_runs_and_then_is_missing(tmp_path):
    cell = Note("ioi", "eap", "zero", "toy", 0, (), key="abc", results_dir=str(tmp_path))
    with gathering(tmp_path):
        note_waiting(0, cell)
        assert with_state(cell).state == "queued"
        with Folder(tmp_path, "abc").locked():
            assert with_state(cell).state == "running"
        end_waiting(0)
        assert with_state(cell).state == "missing"
        note_waiting(0, cell)
    assert with_state(cell).state == "missing"


def test_a_stopped_command_keeps_what_its_queued_jobs_will_read(tmp_path):
    cell = Note("ioi", "eap", "zero", "toy", 0, (), key="abc", results_dir=str(tmp_path))
    with gathering(tmp_path) as folder:
        (folder / QUEUED).mkdir()
        note_waiting(0, cell)
    assert (folder / QUEUED).is_dir()
    assert with_state(cell).state == "queued"


def test_a_cell_whose_job_goes_on_is_not_called_killed_when_its_command_is_stopped(tmp_path):
    cell = Note("ioi", "eap", "zero", "toy", 0, (), key="abc", results_dir=str(tmp_path))
    begun, ended = replace(cell, state="killed"), replace(cell, state="done")
    with gathering(tmp_path) as folder:
        assert with_jobs_that_go_on(folder, [begun]) == [begun]
        note_waiting(0, cell)
        (told,) = with_jobs_that_go_on(folder, [begun])
        assert told.state == "running" and told.detail == "its job goes on without this command"
        assert with_jobs_that_go_on(folder, [ended]) == [ended]
        end_waiting(0)
        assert with_jobs_that_go_on(folder, [begun]) == [begun]


def test_a_pack_of_no_cells_is_one_line(tmp_path):
    result = run_in_fork("run", *GRID, "cells_per_job=0", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == "ablation-bench: cells_per_job=0 must be 1 or more\n"


@pytest.mark.slow
def test_validate_lists_the_cells_of_a_cluster_in_its_own_process(tmp_path):
    def command():
        def submitted(*arguments, **settings):
            raise AssertionError("a job was submitted")

        submitit.AutoExecutor = submitted
        main()

    choices = (*GRID[:-1], "hydra/launcher=slurm", "hydra.launcher.partition=gpu")
    listed = run_in_fork("validate", *choices, cwd=tmp_path, command=command)
    assert listed.returncode == 0 and "4 missing" in listed.stdout


LAUNCHER = """# @package _global_
defaults:
  - override /hydra/launcher: submitit_local
cells_per_job: 3
"""


@pytest.mark.slow
def test_an_experiment_may_name_the_launcher(tmp_path):
    option = tmp_path / "own" / "experiment" / "packed.yaml"
    option.parent.mkdir(parents=True)
    option.write_text(LAUNCHER)
    typed = ("experiment=packed", "--config-dir", "own")
    done = run_with(Here(), *typed, cwd=tmp_path, grid=GRID[:-1])
    assert done.returncode == 0 and "PACKS 3 1" in done.stdout and "4 done" in done.stdout


@pytest.mark.parametrize("verb", ["run", "validate"])
def test_a_launcher_without_a_grid_is_one_line(tmp_path, verb):
    result = run_in_fork(verb, *GRID[1:5], *GRID[6:], "seed=0", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == (
        "ablation-bench: hydra/launcher=submitit_local starts the cells of a grid; add -m\n"
    )

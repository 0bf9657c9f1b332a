"""A cell from settings to record: what is whole, and what is run again."""

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from support.cells import cell

from benchmark.errors import UserError
from benchmark.graph.circuits_file import StoredCircuits
from benchmark.records.record import CIRCUITS_FILE, RECORD, TABLE, Record, Status
from benchmark.records.store import folders
from benchmark.report.frame import load
from benchmark.run import runner
from benchmark.run.runner import run_cell
from methods.circuits.eap import EAP


def test_a_record_says_everything(finished):
    settings, record = finished
    assert record.status is Status.done and record.reason is None
    assert record.key == settings.key and record.n_edges == 110
    assert record.names == dict(
        model="tiny_gpt2", task="ioi", method="eap", ablation="counterfactual"
    )
    assert record.family == "ioi" and record.traits["from_corrupted"]
    assert set(record.data) == {"train", "test", "task"}
    assert len(set(record.data.values())) == 3
    assert record.accuracy == 1.0
    assert record.cost["method"]["forward"] >= 16
    assert record.cost["method"]["backward"] == 8
    assert record.versions["method"] == EAP.version
    assert {"torch", "ablation-bench", "python"} <= set(record.versions)
    assert record.machine["threads"] >= 1
    assert set(record.areas) == {"counterfactual", "mean"} == set(record.evaluation)
    folder = settings.folder.path
    assert Record.read(folder / RECORD) == record
    files = {"table.parquet", "circuits.safetensors", "scores.safetensors", "config.yaml"}
    assert set(record.files) == files
    assert files | {"record.json", "log.txt"} == {entry.name for entry in folder.iterdir()}
    curve = pd.read_parquet(folder / TABLE)
    assert list(curve["size"]) == [11, 55, 11, 55]
    keep = StoredCircuits.read(folder / CIRCUITS_FILE).keep
    assert keep.sum((1, 2)).tolist() == [11, 55]
    assert "done in" in (folder / "log.txt").read_text()
    assert OmegaConf.load(folder / "config.yaml").n_train == 8


def test_the_same_cell_is_not_run_again(finished, monkeypatch):
    settings, record = finished
    monkeypatch.setattr("benchmark.run.runner._run", None)
    outcome = run_cell(settings)
    assert outcome.was_there and outcome.record == record


@pytest.mark.slow
@pytest.mark.parametrize("name", [RECORD, TABLE, CIRCUITS_FILE])
def test_a_truncated_file_is_no_record_and_the_cell_is_run_again(tmp_path, name):
    settings = cell(tmp_path)
    record = run_cell(settings).record
    path = settings.folder.path / name
    path.write_bytes(path.read_bytes()[:-20])
    assert settings.folder.record() is None
    outcome = run_cell(settings)
    assert not outcome.was_there
    assert outcome.record.areas == record.areas
    assert settings.folder.record() == outcome.record


def test_a_failure_is_recorded_and_run_again(tmp_path, monkeypatch):
    settings, discover = cell(tmp_path), EAP.discover

    def broken(self, problem, sizes):
        raise RuntimeError("a broken method")

    monkeypatch.setattr(EAP, "discover", broken)
    record = run_cell(settings).record
    (settings.folder.work / "a checkpoint").touch()
    assert record.status is Status.failed
    assert record.reason == "RuntimeError: a broken method"
    assert "in broken" in record.traceback
    assert settings.folder.record() == record
    kept = []

    def resumed(self, problem, sizes):
        kept.extend(entry.name for entry in problem.work_folder.iterdir())
        return discover(self, problem, sizes)

    monkeypatch.setattr(EAP, "discover", resumed)
    outcome = run_cell(settings)
    assert outcome.record.status is Status.done and not outcome.was_there
    assert "a checkpoint" in kept
    assert not settings.folder.work.exists()
    (old,) = (tmp_path / "aside").iterdir()
    assert Record.read(old / RECORD) == record


def test_what_no_record_can_hold_is_a_failure(tmp_path, monkeypatch):
    """A plug-in may give anything."""
    whole = runner._run

    def broken(*arguments):
        return replace(whole(*arguments), machine={"devices": {"cpu"}})

    monkeypatch.setattr(runner, "_run", broken)
    settings = cell(tmp_path)
    record = run_cell(settings).record
    assert record.status is Status.failed and "set is not JSON serializable" in record.reason
    assert "Traceback" in record.traceback
    assert "set is not JSON serializable" in (settings.folder.path / "log.txt").read_text()
    assert settings.folder.record() == record
    monkeypatch.undo()
    assert run_cell(settings).record.status is Status.done


def test_checkpoints_of_other_code_are_not_continued(tmp_path, monkeypatch, caplog):
    settings, seen = cell(tmp_path), []

    def broken(self, problem, sizes):
        seen.append({entry.name for entry in problem.work_folder.iterdir()})
        (problem.work_folder / "a checkpoint").touch()
        raise RuntimeError("a broken method")

    monkeypatch.setattr(EAP, "discover", broken)
    run_cell(settings)
    run_cell(settings)
    monkeypatch.setattr("benchmark.run.runner.code_digest", lambda *packages: "other code")
    run_cell(settings)
    assert seen == [{"made_by"}, {"made_by", "a checkpoint"}, {"made_by"}]
    assert "checkpoints are of other code" in caplog.text
    (old,) = (tmp_path / "aside").glob("*-checkpoints-*")
    assert (old / "a checkpoint").exists()


def test_a_finished_record_has_no_leftovers(tmp_path):
    settings = cell(tmp_path)
    record = run_cell(settings).record
    settings.folder.work.mkdir()
    (settings.folder.work / "constants.checkpoint").touch()
    assert run_cell(settings).was_there
    assert not settings.folder.work.exists()
    (settings.folder.path / RECORD).unlink()
    left = settings.folder.path / ".record.json.abcdefgh.part"
    left.touch()
    again = run_cell(settings).record
    assert not left.exists() and again.areas == record.areas


def test_a_record_can_be_of_several_experiments(tmp_path):
    first = cell(tmp_path, experiment_name="first")
    run_cell(first)
    with pytest.raises(UserError, match=r"experiment_name=other has no record .* there: first"):
        load(tmp_path, "other")
    assert run_cell(replace(first, experiment_name="second")).was_there
    for name in ("first", "second", None):
        assert list(load(tmp_path, name).records) == [first.key]


def test_a_kill_leaves_no_record_and_keeps_checkpoints(tmp_path, monkeypatch):
    settings = cell(tmp_path, ablation="optimal", constants=dict(steps=3))
    whole = run_cell(replace(settings, results_dir=str(tmp_path / "whole"))).record

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.run.findings.findings.save_circuits", killed)
    with pytest.raises(KeyboardInterrupt):
        run_cell(settings)
    assert settings.folder.record() is None
    assert any(settings.folder.work.iterdir())
    monkeypatch.undo()
    record = run_cell(settings).record
    assert record.areas == whole.areas
    assert not settings.folder.work.exists()


def test_what_cannot_be_done_is_skipped_with_the_reason(tmp_path):
    record = run_cell(cell(tmp_path, attribution_metric="kl")).record
    assert record.status is Status.skipped
    assert "gradient of the loss gap at the full model is zero" in record.reason
    assert run_cell(cell(tmp_path, attribution_metric="kl")).was_there


def test_overwriting_keeps_the_old_record_aside(tmp_path):
    settings = cell(tmp_path)
    record = run_cell(settings).record
    again = run_cell(replace(settings, overwrite=True))
    assert not again.was_there
    (old,) = (tmp_path / "aside").iterdir()
    assert Record.read(old / RECORD) == record
    assert [folder.key for folder in folders(tmp_path)] == [settings.key]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(sizes=[111]), "sizes has 111 edges; tiny_gpt2 has 110"),
        (dict(task="reversal"), "has 0 .* prompts"),
        (dict(method="random", sizes=[1]), None),
    ],
)
def test_what_cannot_work_fails_with_one_line(tmp_path, changes, message):
    record = run_cell(cell(tmp_path, **changes)).record
    if message is None:
        assert record.status is Status.done
        return
    assert record.status is Status.failed and record.traceback is None
    assert pd.Series([record.reason]).str.contains(message).all()


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="needs /proc")
def test_a_folder_that_cannot_be_written_is_one_line():
    with pytest.raises(UserError, match="results_dir=/proc/results cannot be written"):
        run_cell(cell("/proc/results"))

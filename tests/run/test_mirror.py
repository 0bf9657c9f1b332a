"""The mirror of a record that is made again: one run of one id, online and offline."""

from dataclasses import replace
from pathlib import Path

import pytest
import wandb
from support.cells import cell
from support.made.records import offline_records

from benchmark.run.mirror import mirror
from benchmark.run.runner import run_cell

pytestmark = pytest.mark.slow


class OnlineRun:
    """Stands for a run on a server, which is made or continued by its id."""

    def __init__(self) -> None:
        self.summary, self.logged, self.artifacts = {}, [], []
        self.log, self.log_artifact = self.logged.append, self.artifacts.append

    def finish(self) -> None:
        """Nothing waits to be sent."""


@pytest.fixture
def online(monkeypatch):
    """The runs of a server, by id, and how often each was begun."""
    runs, begun = {}, []

    def init(**settings):
        assert settings["mode"] == "online" and settings["resume"] == "allow"
        begun.append(settings["id"])
        run = runs.setdefault(settings["id"], OnlineRun())
        run.config = settings["config"]
        return run

    monkeypatch.setattr(wandb, "init", init)
    return runs, begun


def made_again(settings):
    for each in (settings, replace(settings, overwrite=True, experiment_name="again")):
        record = run_cell(each).record
        mirror(record, each)
        mirror(record, each)
        assert not (each.folder.path / "tracking_error.txt").exists()
    return record


def test_online_the_run_of_an_overwritten_record_is_updated(online, tmp_path):
    runs, begun = online
    record = made_again(cell(tmp_path, tracking="online"))
    assert begun == [record.key] * 2
    (run,) = runs.values()
    assert run.config == record.config and run.config["experiment_name"] == "again"
    assert len(run.logged) == 2 and len({one.name for one in run.artifacts}) == 1


def test_offline_one_run_waits_to_be_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    record = made_again(cell(tmp_path, tracking="offline"))
    (file,) = Path(tmp_path, "wandb").glob("offline-run-*/*.wandb")
    (run,) = (one.run for one in offline_records(file) if one.WhichOneof("record_type") == "run")
    assert run.run_id == record.key and run.run_group == "again"

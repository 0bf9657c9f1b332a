"""A small grid with records of all kinds, run in children of one process, and what it leaves.

That process checks no shapes, as this one does at every call: its children take a tenth of
the time.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from support.cells import cell_config
from support.command import run_in_fork
from support.faults import Act, at_each_operation

from benchmark.cli.gathered import gathered, noting
from benchmark.config import build
from benchmark.digests import digest_of_file
from benchmark.models.choice import ModelChoice
from benchmark.records.record import LOG, RECORD, Record
from benchmark.records.store import Folder, folders
from benchmark.run.grid.jobs import run_job
from benchmark.run.runner import run_cell

QUICK = dict(
    n_train=4, n_test=4, sizes=[0.1, 0.5], training_steps=2, threads=1, experiment_name="campaign",
    evaluate_under=["optimal", "counterfactual"],
)  # fmt: skip
# Trained masks, scores, what is skipped, and both forms of studies, one of which shares effects.
CELLS = (
    dict(method="eap"),
    dict(method="ugs") | {"method_settings": dict(prices=[0.01, 0.1], masks_per_step=2)},
    dict(method="reference"),
    dict(method="component_ablation"),
    dict(method="atp") | {"method_settings": dict(positions="all", repeats=1)},
)
PASSES = ("forward", "backward")
Run = Callable[..., CompletedProcess[str]]


def settings(chosen: dict) -> DictConfig:
    """The settings of one of the cells."""
    config = cell_config("results", method=chosen["method"], **QUICK)
    config.method = OmegaConf.merge(config.method, chosen.get("method_settings", {}))
    return config


@contextmanager
def runner(place: Path) -> Iterator[Run]:
    """What runs cells in a folder as `run` does, with a fault at one of the file operations."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, place))
    process.start()
    theirs.close()

    def run(cwd: Path, cells=CELLS, act: Act | None = None) -> CompletedProcess[str]:
        ours.send((cwd, cells, act))
        return ours.recv()

    try:
        yield run
    finally:
        ours.send(None)
        process.join()


def _serve(connection: Connection, place: Path) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        _share_what_cells_need(monkeypatch, place)
        while (asked := connection.recv()) is not None:
            connection.send(_run_cells(*asked))


def _run_cells(cwd: Path, cells, act: Act | None) -> CompletedProcess[str]:
    configs = [settings(chosen) for chosen in cells]

    def jobs():
        try:
            with noting():
                for job, config in enumerate(configs):
                    run_job(config, job, ())
        except CompactHydraException as error:
            # As Hydra ends.
            sys.stderr.write(f"{error}\n")
            sys.exit(1)

    def command():
        if act is not None:
            at_each_operation(cwd / "results", act)
        gathered(jobs, Path("results"))

    return run_in_fork("run", cwd=cwd, command=command)


def contents(results: Path) -> dict[str, object]:
    """All that a grid left but for times, costs and what was put aside: files by their digests."""
    found: dict[str, object] = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if path.is_dir() or name.startswith("aside"):
            continue
        if path.name == RECORD:
            found[name] = told(Record.read(path))
        else:
            found[name] = None if path.name == LOG else digest_of_file(path)
    return found


def told(record: Record) -> Record:
    """What a record says that is the same whenever it is made."""
    return replace(record, created="", cost={}, machine={})


def spent(results: Path) -> dict[str, float]:
    """The passes of each record."""
    return {
        f"{folder.key} {what} {name}": cost[name]
        for folder in folders(results)
        for what, cost in folder.read().cost.items()
        for name in PASSES
    }


def finished(results: Path) -> dict[str, int]:
    """When the record of each key that is whole was written."""
    found = results.glob(f"*/{RECORD}") if results.is_dir() else ()
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in found
        if Folder(results, path.parent.name).record() is not None
    }


def age(results: Path) -> None:
    """Let what a dead process left be older than a minute, as it is when somebody comes back."""
    before = time.time() - 120
    for path in results.rglob(".*.part"):
        os.utime(path, (before, before))


def _share_what_cells_need(monkeypatch, place: Path) -> None:
    """Import, load and draw once for all children, and let every step be kept."""
    import_module("benchmark.run.mirror")
    model = settings(CELLS[0]).model
    loaded = build(model, where="model").load()
    monkeypatch.setattr(ModelChoice, "load", lambda self: loaded)
    monkeypatch.setattr("benchmark.training.loop.CHECKPOINT_EVERY", 1)
    monkeypatch.setattr("benchmark.run.machine._git", lambda: None)
    monkeypatch.chdir(place)
    for chosen in CELLS:
        run_cell(build(settings(chosen), where="run"))

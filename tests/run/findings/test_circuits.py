"""Circuits of a record: of edges and of neurons, and after a kill."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console
from support.cells import cell

from benchmark.config import configured_alone
from benchmark.errors import UserError
from benchmark.graph.circuits_file import StoredCircuits
from benchmark.graph.mask import EdgeMask
from benchmark.records.record import CIRCUITS_FILE, TABLE, Status
from benchmark.report.circuits.drawing import readable_circuit
from benchmark.run.findings.circuits import evaluated_as
from benchmark.run.runner import run_cell
from benchmark.run.verify import verify_record
from methods.circuits.eap import EAP


def neuron_cell(results_dir, **changes):
    settings = cell(results_dir, sizes=[0.05, 0.5, 1.0], **changes)
    return replace(settings, method={**settings.method, "granularity": "neuron"})


@pytest.mark.slow
def test_a_record_of_neurons(tmp_path, monkeypatch):
    settings = neuron_cell(tmp_path, evaluate_under=["counterfactual", "optimal"])

    def killed(*arguments):
        raise KeyboardInterrupt

    # Circuits of neurons survive a kill in evaluation.
    monkeypatch.setattr("benchmark.run.findings.circuits._evaluated", killed)
    with pytest.raises(KeyboardInterrupt):
        run_cell(settings)
    monkeypatch.undo()
    monkeypatch.setattr(EAP, "discover", killed)
    record = run_cell(settings).record
    monkeypatch.undo()
    assert record.status is Status.done, record.reason
    folder = settings.folder.path
    curve, stored = pd.read_parquet(folder / TABLE), StoredCircuits.read(folder / CIRCUITS_FILE)
    assert stored.neurons is not None and len(stored.neurons) == 3
    edges = curve["size"].tolist()
    assert 0 < edges[0] <= 5 < edges[1] <= 55 < edges[2] == 110 and edges[3:] == edges[:3]
    assert curve["loss_gap"][2] < 1e-6 < curve["loss_gap"][1] < curve["loss_gap"][0]
    assert curve["faithfulness"][2] == pytest.approx(1)
    assert all(pd.notna(list(areas.values())).all() for areas in record.areas.values())
    _, drawn = readable_circuit(folder)
    assert len(drawn) in (stored.keep > 0).sum((1, 2)).tolist()
    agrees, table = verify_record(tmp_path, record.key)
    assert agrees and "exactly" in str(table.renderables[-1])
    asked = dict(
        results_dir=str(tmp_path), other_cells=True, directory=str(tmp_path / "submission")
    )
    with pytest.raises(UserError, match="has circuits of neurons"):
        configured_alone("submit", **asked).run()
    assert not Path(asked["directory"]).exists()


@pytest.mark.slow
def test_tables_and_figures_of_neurons_beside_edges(tmp_path):
    results_dir = tmp_path / "results"
    for settings in (neuron_cell(results_dir), cell(results_dir, sizes=[0.05, 0.5, 1.0])):
        assert run_cell(settings).record.status is Status.done
    shown = configured_alone("leaderboard", results_dir=str(results_dir)).run()
    console = Console(file=StringIO(), width=200)
    console.print(shown)
    assert "granularity=neuron" in console.file.getvalue()
    pictures = tmp_path / "pictures"
    configured_alone("figures", results_dir=str(results_dir), directory=str(pictures)).run()
    assert any(pictures.iterdir())


@pytest.mark.slow
def test_circuits_are_not_sought_again_after_a_kill_in_evaluation(tmp_path, monkeypatch):
    settings, evaluated = cell(tmp_path), []

    def killed(*arguments):
        evaluated.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.run.findings.circuits._evaluated", killed)
    with pytest.raises(KeyboardInterrupt):
        run_cell(settings)
    monkeypatch.undo()
    monkeypatch.setattr(EAP, "discover", killed)
    record = run_cell(settings).record
    assert record.status is Status.done and not record.warnings
    assert record.cost["method"]["backward"] == 8


def test_circuits_of_a_record_are_the_methods(finished):
    """The masks beside the record are those that the curve speaks of."""
    settings, _ = finished
    stored = StoredCircuits.read(settings.folder.path / CIRCUITS_FILE)
    keep = torch.from_numpy(stored.keep)
    model = settings.model_choice.load()
    assert stored.graph.sources == model.graph.sources
    small, large = (EdgeMask(model.graph, mask) for mask in keep)
    assert set(small.edges()) < set(large.edges())
    assert torch.equal(keep, keep.round())


def test_a_recipe_that_is_typed_is_said_of_the_search_and_not_of_the_evaluation(tmp_path):
    plain = cell(tmp_path, ablation="optimal")
    assert plain.ablation["steps"] == plain.constants["steps"] == 2
    assert plain.called["ablation"] == "optimal", "the recipe of constants is every circuit's"
    typed = replace(plain, ablation={**plain.ablation, "steps": 7, "keep_first": False})
    assert typed.called["ablation"] == "optimal keep_first=false steps=7"
    assert evaluated_as(typed, "optimal") == "optimal keep_first=false"
    assert evaluated_as(typed, "mean") == "mean"

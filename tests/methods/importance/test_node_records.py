"""Studies of nodes from settings to record: names in their reports, verified again, mirrored."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.cells import cell
from support.made.nodes import write_arrays
from support.made.records import offline_records, seal_anew

from benchmark.config import configured
from benchmark.effects.nodes.nodes import NodeKind, Nodes
from benchmark.records.record import TENSORS, Status
from benchmark.report.frame import load_kinds
from benchmark.report.kinds import figures_of, tables_of
from benchmark.run.mirror import mirror
from benchmark.run.runner import run_cell
from benchmark.run.verify import verify_record
from benchmark.tensors import read_arrays


def study(results_dir, method, **settings):
    asked = dict(n_train=2, attribution_metric="cross_entropy", task="ioi_six_names")
    made = cell(results_dir, method=method, **asked)
    return replace(made, method=made.method | settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Estimates that are judged, estimates that are not, and bounds."""
    results_dir = tmp_path_factory.mktemp("results")
    cells = {
        "blocks": study(results_dir, "blocks", repeats=2),
        "atp": study(results_dir, "atp", judge=False, nodes="all", positions="all"),
        "missed_effects": study(
            results_dir, "missed_effects", nodes="neurons", positions="all", probability=0.1,
            verified=100, draws=128, repeats=1,
        ),
    }  # fmt: skip
    for one in cells.values():
        outcome = run_cell(one).record
        assert outcome.status is Status.done, outcome.reason
    return cells


def named_tables(one):
    results = load_kinds(Path(one.results_dir))[one.kind]
    return {"_".join(made.words): made.table for made in tables_of(results)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "table", "score"),
    [
        ("blocks", "top_nodes_ioi_six_names_tiny_gpt2_attention", "contribution"),
        ("atp", "top_estimates_ioi_six_names_tiny_gpt2_all_atp", "estimate"),
    ],
)
def test_names_in_tables_are_those_of_the_nodes(finished, method, table, score):
    one = finished[method]
    scores = read_arrays(one.folder.path / TENSORS)[0]
    shape = configured("model", "tiny_gpt2").load().shape
    nodes = Nodes(NodeKind(one.method["nodes"]), shape, int(scores["position"].max()) + 1)
    assert (nodes.n_positions == 1) == (one.method["positions"] == "all")
    best = np.argsort(-scores[score], kind="stable")[:10].tolist()
    shown = named_tables(one)[table]
    assert shown.index.tolist() == [nodes.name(node) for node in best]
    assert shown[score].astype(float).to_numpy() == pytest.approx(scores[score][best], rel=0.006)


@pytest.mark.slow
def test_a_study_comes_out_again(finished):
    for one in finished.values():
        agrees, table = verify_record(Path(one.results_dir), one.key)
        assert agrees and "every number agrees exactly" in str(table.renderables[-1])


def test_verify_notices_another_estimate(finished):
    """Of a record without a single row in its table."""
    one = finished["atp"]
    path = one.folder.path / TENSORS
    before = read_arrays(path)[0]
    forge(one, before | {"estimate": 1.01 * before["estimate"]})
    agrees, _ = verify_record(Path(one.results_dir), one.key)
    assert not agrees
    forge(one, before)


def forge(one, scores):
    path = one.folder.path
    write_arrays(path / TENSORS, scores)
    seal_anew(path)


@pytest.mark.slow
def test_a_study_is_mirrored_with_its_pictures_and_tables(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")
    one = replace(finished["blocks"], tracking="offline")
    record = one.folder.record()
    mirror(record, one)
    assert not (one.folder.path / "tracking_error.txt").exists()
    (file,) = (Path(one.results_dir) / "wandb").glob("offline-run-*/*.wandb")
    assert not list(tmp_path.iterdir())
    before = file.parent.name
    mirrored = one.folder.path / "tracked_offline.txt"
    mirrored.unlink()
    mirror(record, one)
    # Made again, it has one run, and the old one is kept.
    (file,) = (Path(one.results_dir) / "wandb").glob("offline-run-*/*.wandb")
    (aside,) = (Path(one.results_dir) / "aside").iterdir()
    assert aside.name.startswith(before) and file.name == f"run-{record.key}.wandb"
    content = list(offline_records(file))
    sent = {
        item.nested_key[0]
        for one in content
        if one.WhichOneof("record_type") == "history"
        for item in one.history.item
        if item.nested_key
    }
    results = load_kinds(Path(one.results_dir))["node_importance"]
    # What names the record is left out, so that runs share their panels.
    made = [made.words for made in (*figures_of(results), *tables_of(results))]
    own = {"ioi_six_names", "tiny_gpt2"}
    names = {" ".join(word for word in words if word not in own) for words in made}
    assert {name for name in names if "top_estimates" not in name} < sent
    assert {"curve", "recall", "recall attention"} <= sent
    pictures = {made.words[0] for made in figures_of(results)}
    assert pictures == {"recall", "cancellation"}
    summary = {
        update.key: json.loads(update.value_json)
        for one in content
        if one.WhichOneof("record_type") == "summary"
        for update in one.summary.update
    }
    assert summary["relative_cost"] == pytest.approx(record.summary["relative_cost"])
    assert "accuracy" not in summary

"""Circuits from files: MIB's, our own, and those of records."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from support.cells import cell
from support.made.mib import D_MODEL, GRAPH, random_mask, random_scores
from support.paths import ROOT
from support.problems import problem

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.graph.circuits_file import CIRCUITS_FORMAT, SCORES_FORMAT
from benchmark.graph.mask import EdgeMask
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import load_circuits, load_scores, save_circuits, save_scores
from benchmark.mib.files import MibCircuit, write_mib
from benchmark.records.record import CIRCUITS_FILE, SCORES, TABLE, Status
from benchmark.run.runner import run_cell
from benchmark.tensors import write_arrays

CASES = ROOT / "tests/cases/mib"


@pytest.mark.parametrize("ending", ["json", "pt", "safetensors"])
@pytest.mark.parametrize("absolute", [True, False])
def test_an_importance_file_gives_the_circuits_of_its_scores(gpt2, tmp_path, ending, absolute):
    scores, path = random_scores(gpt2.graph), tmp_path / f"scores.{ending}"
    if ending == "safetensors":
        save_scores(path, {"": scores})
    else:
        write_mib(path, MibCircuit(scores), D_MODEL)
    imported = configured("method", "imported", path=str(path), absolute=absolute)
    found = imported.discover(problem(gpt2), [3, 20])
    ranked = scores.absolute() if absolute else scores
    for circuit, size in zip(found, (3, 20), strict=True):
        assert circuit.requested_size == size
        assert torch.equal(circuit.mask.keep, ranked.top(size).keep)


def test_binary_files_are_shown_as_they_are(gpt2, tmp_path):
    masks = [random_mask(gpt2.graph, seed) for seed in range(3)]
    write_mib(tmp_path / "a.json", MibCircuit(mask=masks[0]), D_MODEL)
    write_mib(tmp_path / "b.pt", MibCircuit(random_scores(gpt2.graph), masks[1]), D_MODEL)
    save_circuits(tmp_path / "c.safetensors", [FoundCircuit(masks[2])])
    (tmp_path / "notes.txt").write_text("not a circuit")
    found = configured("method", "imported", path=str(tmp_path)).discover(problem(gpt2), [5])
    assert [(c.setting, c.requested_size) for c in found] == [
        ("file=a.json", None), ("file=b.pt", None), ("file=c.safetensors", None),
    ]  # fmt: skip
    assert all(torch.equal(c.mask.keep, m.keep) for c, m in zip(found, masks, strict=True))
    write_mib(tmp_path / "d.pt", MibCircuit(random_scores(gpt2.graph)), D_MODEL)
    with pytest.raises(UserError, match=r"d.pt is one of 4 files of its folder"):
        configured("method", "imported", path=str(tmp_path)).discover(problem(gpt2), [5])


def test_files_that_cannot_be_imported_are_refused(gpt2, tmp_path):
    assert "type method.path=FILE" in configured("method", "imported").unsupported(problem(gpt2))
    for path in (tmp_path, tmp_path / "missing.pt"):
        with pytest.raises(UserError, match=r"has no circuit; type method.path=FILE"):
            configured("method", "imported", path=str(path)).data_digest()
    foreign = tmp_path / "foreign.safetensors"
    save_circuits(foreign, [FoundCircuit(EdgeMask.full(GRAPH))])
    with pytest.raises(UserError, match="with 1 layers of 2 heads; this one has"):
        configured("method", "imported", path=str(foreign)).discover(problem(gpt2), [5])
    foreign.write_bytes(b"damaged")
    with pytest.raises(UserError, match="is damaged, or was not written by this package"):
        configured("method", "imported", path=str(foreign)).discover(problem(gpt2), [5])


@pytest.mark.parametrize("form", [CIRCUITS_FORMAT, SCORES_FORMAT])
def test_a_file_of_our_own_form_without_its_fields_is_one_line(gpt2, tmp_path, form):
    path, content = tmp_path / "own.safetensors", {"keep": GRAPH.exists.float().numpy()[None]}
    whole = {"format": form, "n_layers": "1", "n_heads": "2", "parallel": "False"}
    for facts in ({"format": form}, whole, whole | {"sources": "[", "destinations": "[]"}):
        write_arrays(path, content, facts)
        with pytest.raises(UserError, match=r"own\.safetensors is damaged: \w+Error"):
            configured("method", "imported", path=str(path)).discover(problem(gpt2), [5])
    write_arrays(path, content, {})
    with pytest.raises(UserError, match=r"own\.safetensors"):
        configured("method", "imported", path=str(path)).discover(problem(gpt2), [5])


def imported(results_dir, path):
    """A quick cell that imports."""
    quick = cell(results_dir, method="imported")
    return replace(quick, method=quick.method | {"path": path and str(path)})


def test_the_content_of_a_file_decides_the_key(tmp_path):
    path, keys = tmp_path / "scores.json", []
    for seed in (0, 1, 0):
        write_mib(path, MibCircuit(random_scores(GRAPH, seed)), D_MODEL)
        keys.append(imported(tmp_path, path).key)
    assert keys[0] == keys[2] != keys[1]
    path.unlink()
    with pytest.raises(UserError, match=r"has no circuit; type method\.path=FILE"):
        imported(tmp_path, path).checked()


@pytest.mark.slow
def test_a_record_is_imported_as_it_was_found_and_ranked_anew_by_its_scores(tmp_path):
    """Circuits keep their settings, sizes and numbers; scores give circuits of any size."""
    found = cell(tmp_path)
    own = run_cell(found)
    curve, place = pd.read_parquet(found.folder.path / TABLE), found.folder.path
    for path in (place, place / CIRCUITS_FILE):
        again = imported(tmp_path, path)
        assert run_cell(again).record.status is Status.done
        pd.testing.assert_frame_equal(pd.read_parquet(again.folder.path / TABLE), curve)
    scores = imported(tmp_path, place / SCORES)
    assert run_cell(scores).record.areas == own.record.areas
    assert load_scores(scores.folder.path / SCORES)[""].value.equal(
        load_scores(place / SCORES)[""].value
    )
    other = replace(
        scores, sizes=[7], method=scores.method | {"path": str(place), "take": "scores"}
    )
    assert run_cell(other).record.cost["method"]["forward"] == 0
    assert list(pd.read_parquet(other.folder.path / TABLE)["size"].unique()) == [7]


@pytest.mark.slow
def test_a_file_with_scores_and_a_circuit_is_its_circuit(tmp_path):
    """Both cases have one circuit of 27 edges; only by name are edges ranked anew."""
    tables = []
    for name in ("both", "circuit_only"):
        one = imported(tmp_path, CASES / f"{name}.json")
        record = run_cell(one).record
        tables.append(pd.read_parquet(one.folder.path / TABLE))
        told = [line for line in record.warnings if "method.take=scores" in line]
        assert len(told) == (name == "both")
    assert set(tables[0]["size"]) == {27}
    assert tables[0]["loss_gap"].equals(tables[1]["loss_gap"])
    ranked = imported(tmp_path, CASES / "both.json")
    ranked = replace(ranked, method=ranked.method | {"take": "scores"})
    run_cell(ranked)
    assert set(pd.read_parquet(ranked.folder.path / TABLE)["size"]) == {11, 55}
    without = imported(tmp_path, CASES / "circuit_only.json")
    without = replace(without, method=without.method | {"take": "scores"})
    assert "has circuits and no scores" in run_cell(without).record.reason


@pytest.mark.slow
def test_imported_circuits_are_evaluated_as_all_others(tmp_path):
    """The circuits of a method, imported, have the method's own curve."""
    found = cell(tmp_path)
    own = run_cell(found).record
    model = found.model_choice.load()
    stored = load_circuits(found.folder.path / CIRCUITS_FILE)
    for name, one in zip("ab", stored, strict=True):
        circuit = MibCircuit(mask=one.mask)
        write_mib(tmp_path / "circuits" / f"{name}.pt", circuit, model.shape.d_model)
    record = run_cell(imported(tmp_path, tmp_path / "circuits")).record
    assert record.status is Status.done, record.reason
    assert record.areas == own.areas
    skipped = run_cell(imported(tmp_path, None)).record
    assert skipped.status is Status.skipped and "type method.path=FILE" in skipped.reason

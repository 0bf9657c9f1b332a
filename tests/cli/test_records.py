"""What the command does with a record that it left: measures it again, ranks anew, verifies."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from support.command import run_in_fork

from benchmark.method.found import load_circuits, load_scores
from benchmark.mib.files import read_mib
from benchmark.records.record import CIRCUITS_FILE, RECORD, SCORES, TABLE

QUICK = ("model=tiny_gpt2", "task=ioi", "ablation=counterfactual", "n_train=8", "n_test=8")
METHODS = {
    "ugs": ("method.prices=[0.001,0.05]", "method.steps=60", "method.learning_rate=0.5"),
    "acdc": ("method.thresholds=[0.003,0.1]",),
}


def folder_of(results: Path, method: str) -> Path:
    """The folder of the last record of a method."""
    found = [path.parent for path in results.glob(f"*/{RECORD}")]
    named = [path for path in found if name_in(path).split(" ")[0] == method]
    return max(named, key=lambda path: (path / RECORD).stat().st_mtime_ns)


def name_in(folder: Path) -> str:
    """What the record in a folder calls its method."""
    return json.loads((folder / RECORD).read_text())["names"]["method"]


@pytest.fixture(scope="module", params=[pytest.param("ugs", marks=pytest.mark.slow), "acdc"])
def left(request, tmp_path_factory):
    """A place in which `run` left a record, and its folder."""
    place, name = tmp_path_factory.mktemp(request.param), request.param
    result = run_in_fork("run", *QUICK, f"method={name}", *METHODS[name], cwd=place)
    assert result.returncode == 0, result.stderr + result.stdout
    return place, folder_of(place / "results", name)


@pytest.mark.slow
def test_a_record_is_measured_again_and_ranked_by_its_scores(left):
    place, folder = left
    imported = ("run", *QUICK, "method=imported", f"method.path=results/{folder.name}")
    again = run_in_fork(*imported, cwd=place)
    assert again.returncode == 0, again.stderr + again.stdout
    same = folder_of(place / "results", "imported")
    pd.testing.assert_frame_equal(pd.read_parquet(same / TABLE), pd.read_parquet(folder / TABLE))

    smallest = load_circuits(folder / CIRCUITS_FILE)[-1].mask
    assert 0 < smallest.size < smallest.graph.n_edges
    asked = ("method.take=scores", f"sizes=[{smallest.size}]")
    ranked = run_in_fork(*imported, *asked, cwd=place)
    assert ranked.returncode == 0, ranked.stderr + ranked.stdout
    (chosen,) = load_circuits(folder_of(place / "results", "imported") / CIRCUITS_FILE)
    assert torch.equal(chosen.mask.keep, smallest.keep)


def test_its_scores_are_submitted(left):
    place, folder = left
    asked = (
        f"method_name='{name_in(folder)}'",
        "form=importances",
        "other_cells=true",
        "overwrite=true",
    )
    result = run_in_fork("submit", *asked, cwd=place)
    assert result.returncode == 0, result.stderr
    scores = load_scores(folder / SCORES)[""]
    file = place / "results" / "submission" / "ioi_tiny_gpt2" / "importances.pt"
    assert torch.equal(read_mib(file, scores.graph).scores.value, scores.value)


def test_a_changed_scores_file_is_one_line(left):
    place, folder = left
    whole = (folder / SCORES).read_bytes()
    (folder / SCORES).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    result = run_in_fork("verify", folder.name, cwd=place)
    (folder / SCORES).write_bytes(whole)
    assert result.returncode == 1 and not result.stdout
    (line,) = result.stderr.splitlines()
    assert f"{SCORES} beside it is missing or another than it names" in line

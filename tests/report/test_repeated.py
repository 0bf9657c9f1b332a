"""Curves under an ablation without constants, of records that differ in those alone."""

import shutil
from dataclasses import replace

import pytest
from support.cells import cell

from benchmark.errors import UserError
from benchmark.records.record import RECORD, Record
from benchmark.report.circuits.board import tables
from benchmark.report.circuits.scores import score_table
from benchmark.report.frame import load
from benchmark.report.protocol import Asked
from benchmark.report.score import Score
from benchmark.run.runner import run_cell

QUICK = dict(model="tiny_gpt2", ablation="counterfactual", n_train=4, n_test=4, sizes=[0.1, 0.5])


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Records of two recipes for constants, each evaluated under zero and optimal ablation."""
    place = tmp_path_factory.mktemp("swept")
    recipes = [{"steps": n, "learning_rate": 0.01, "batch_size": 4} for n in (1, 2)]
    for recipe in recipes:
        changes = QUICK | {"evaluate_under": ["zero", "optimal"], "constants": recipe}
        run_cell(cell(place, method="eap", **changes))
    return place


def test_a_curve_that_reads_no_constants_counts_once_and_it_is_said_so(swept):
    found = load(swept)
    first, second = found.records
    assert found.repeated == (f"records {first} and {second} are equal under zero, and count once",)
    evaluations = found.tables.groupby("evaluation")["key"].unique().map(list).to_dict()
    assert evaluations["zero"] == [first]
    assert sorted(key for keys in evaluations.values() for key in keys) == sorted(
        [first, first, second]
    )
    (made,) = tables(found, Asked(Score("log_area", 0.1)))
    assert {"optimal steps=1", "zero", "optimal steps=2"} < {*made.table.columns}
    assert made.note.endswith(found.repeated[0])


def test_scores_of_circuits_alone_count_them_once(swept):
    assert len(score_table(load(swept), Score("auroc_edges", 0.1))) == 1


def test_curves_of_other_numbers_are_still_refused(swept, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(swept, copy)
    record = load(copy).records.popitem()[1]
    whole = Record.read(copy / record.key / RECORD)
    changed = whole.areas | {"zero": whole.areas["zero"] | {"log_area": 0.5}}
    replace(whole, areas=changed).write(copy / record.key / RECORD)
    found = load(copy)
    assert found.repeated == ()
    with pytest.raises(UserError, match="are of one cell and seed, run with different settings"):
        tables(found, Asked(Score("log_area", 0.1)))

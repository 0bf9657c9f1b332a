"""What decides a record's key, and what a typed recipe of constants does."""

from dataclasses import replace

import pytest
from support.cells import cell

from benchmark.errors import UserError
from methods.circuits.eap import EAP


def test_experiments_share_the_records_of_methods_that_do_not_train(tmp_path):
    assert cell(tmp_path, training_steps=600).key == cell(tmp_path).key
    assert cell(tmp_path, training_steps=600).settings()["training_steps"] is None
    assert cell(tmp_path, method="ugs", training_steps=600).key != cell(tmp_path, method="ugs").key


def test_where_a_class_lies_does_not_decide_the_key(tmp_path, monkeypatch):
    from methods.circuits.eap import EAP
    from tasks.ioi import IOI

    before = cell(tmp_path).key
    monkeypatch.setattr(EAP, "__module__", "methods.elsewhere.eap")
    fingerprint = cell(tmp_path).built_task.fingerprint()
    monkeypatch.setattr(IOI, "__module__", "tasks.elsewhere.ioi")
    assert cell(tmp_path).built_task.fingerprint() == fingerprint
    assert cell(tmp_path).key == before
    monkeypatch.setattr(EAP, "__module__", "mine.eap")
    assert cell(tmp_path).key != before


def test_a_typed_recipe_is_the_methods_and_constants_are_the_evaluations(tmp_path):
    plain = cell(tmp_path, ablation="optimal")
    assert plain.built_ablation.steps == plain.evaluation["optimal"].steps == 2
    for name, value in {"steps": 7, "learning_rate": 0.5, "batch_size": 3}.items():
        typed = cell(tmp_path, ablation="optimal")
        typed.ablation[name] = value
        assert typed.key != plain.key
        assert getattr(typed.built_ablation, name) == value == typed.settings()["ablation"][name]
        assert typed.evaluation["optimal"] == plain.evaluation["optimal"]
    assert plain.settings()["ablation"]["steps"] == 2


@pytest.mark.parametrize(
    "changes",
    [
        dict(results_dir="elsewhere"),
        dict(tracking="offline"),
        dict(experiment_name="other"),
        dict(fail_fast=True),
        dict(cells_per_job=5),
        dict(overwrite=True),
        dict(threads=1),
        {"model": {"device": "cpu", "check": False}},
    ],
)
def test_where_it_runs_does_not_decide_the_key(tmp_path, changes):
    model = changes.pop("model", {})
    first = cell(tmp_path)
    assert replace(first, **changes, model=first.model | model).key == first.key


@pytest.mark.parametrize(
    "changes",
    [
        dict(seed=1),
        dict(n_train=9),
        dict(n_test=9),
        dict(sizes=[0.1]),
        dict(attribution_metric="cross_entropy"),
        dict(evaluate_under=["mean"]),
        {"method": "random"},
        {"ablation": "mean"},
        {"task": "induction"},
        {"model": "toy_gpt2"},
    ],
)
def test_what_changes_the_numbers_changes_the_key(tmp_path, changes):
    assert cell(tmp_path, **changes).key != cell(tmp_path).key


def test_versions_decide_the_key(tmp_path, monkeypatch):
    before = cell(tmp_path).key
    monkeypatch.setattr(EAP, "version", 99)
    assert cell(tmp_path).key != before


def test_constants_have_the_recipe_of_the_cell(tmp_path):
    found = cell(tmp_path, ablation="optimal", evaluate_under=["optimal", "optimal_positional"])
    assert found.built_ablation.steps == 2
    assert [a.steps for a in found.evaluation.values()] == [2, 2]
    assert found.evaluation["optimal_positional"].positional
    with pytest.raises(UserError, match=r"constants.steps cannot be used"):
        cell(tmp_path, ablation="optimal", constants={"steps": "x"}).key  # noqa: B018


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(sizes=["x"]), "sizes has 'x'; give numbers of edges"),
        (dict(sizes=[1.5]), r"sizes has 1.5; give numbers of edges \(100\), or shares"),
        (dict(n_test=1), "n_test=1 must be 2 or more"),
        (dict(threads=0), "threads=0 must be 1 or more"),
        (dict(tracking="of"), "tracking=of is not one of off, offline, online, did you mean"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        cell(tmp_path, **changes)

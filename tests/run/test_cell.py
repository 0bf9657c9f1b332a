"""What decides a record's key, and what a typed recipe of constants does."""

from support.cells import cell


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

"""Labels of records: one name that was run with several settings has several."""

from dataclasses import replace

import pandas as pd
from support.made.records import COST, record

from benchmark.records.record import TABLE
from benchmark.records.store import Folder
from benchmark.report.circuits.scores import score_table
from benchmark.report.comparable import refuse_incomparable
from benchmark.report.frame import all_labels, results_of
from benchmark.report.score import Score


def test_one_name_with_several_settings_has_several_labels():
    plain, other = record("a"), record("b", config={"method": {"_target_": "x", "absolute": True}})
    third = record("c", config={"training_steps": 5})
    labels = all_labels([plain, other, third])
    assert {label["method"] for label in labels.values()} == {
        "eap", "eap absolute=true", "eap training_steps=5",
    }  # fmt: skip
    assert all(label["task"] == "ioi" for label in labels.values())
    models = [record("a", config={"model": {"name": name, "device": name}}) for name in "xy"]
    assert all_labels([models[0], replace(models[1], key="b")])["b"]["model"] == "toy name=y"


def test_a_sweep_over_constants_is_labelled(tmp_path):
    whole = []
    for steps in (2, 3):
        made = record(
            f"s{steps}", cost=COST, areas={"optimal": {"cmd": float(steps)}, "zero": {"cmd": 0.5}},
            evaluation={"optimal": ["Optimal", {"steps": steps, "seed": 0}], "zero": ["Zero", {}]},
        )  # fmt: skip
        folder = Folder(tmp_path, made.key)
        folder.path.mkdir()
        pd.DataFrame({"ablation": ["optimal", "zero"]}).to_parquet(folder.path / TABLE)
        whole.append((folder, made))
    found = results_of(whole[:1])
    assert list(found.tables["evaluation"]) == ["optimal", "zero"]
    found = results_of(whole)
    # The curve under zero reads no constants, and counts once.
    assert list(found.tables["evaluation"]) == ["optimal steps=2", "zero", "optimal steps=3"]
    scores = score_table(found, Score("cmd", 0.1))
    assert dict(zip(scores["evaluation"], scores["value"], strict=True)) == {
        "optimal steps=2": 2.0, "zero": 0.5, "optimal steps=3": 3.0,
    }  # fmt: skip
    recipes = scores[scores["evaluation"] != "zero"]
    refuse_incomparable(found, recipes, allow_missing=False)

"""Labels of records: one name that was run with several settings has several."""

from dataclasses import replace

from support.records import record

from benchmark.report.frame import all_labels


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

"""Names say what was run: no option's where a setting of it was changed, and none of two things."""

import pytest
from support.cells import cell

from benchmark.config import configured, option_text
from benchmark.errors import UserError
from benchmark.records.names import is_said, names_of, told_apart, words


def test_an_option_that_nothing_changed_has_its_own_name(tmp_path):
    settings = cell(tmp_path, method="ugs", ablation="optimal")
    assert settings.called == settings.names


@pytest.mark.parametrize(
    ("kind", "changes", "name"),
    [
        ("method", {"method": {"granularity": "component"}}, "eap granularity=component"),
        ("method", {"method": {"absolute": False}}, "eap absolute=false"),
        ("model", {"model": {"dtype": "bfloat16"}}, "tiny_gpt2 dtype=bfloat16"),
        ("model", {"model": {"device": "cpu", "check": False}}, "tiny_gpt2"),
        ("model", {"model": {"name": "toy_gpt2"}}, "toy_gpt2"),
        ("model", {"model": {"name": "owner/name"}}, "owner/name"),
        ("task", {"task": {"order": "abba"}}, "ioi order=abba"),
        ("ablation", {"ablation": {"keep_first": False}}, "counterfactual keep_first=false"),
    ],
)
def test_what_was_changed_is_said(tmp_path, kind, changes, name):
    settings = cell(tmp_path)
    config = {group: {**getattr(settings, group), **new} for group, new in changes.items()}
    plain = {**{g: getattr(settings, g) for g in ("model", "task", "method", "ablation")}, **config}
    found = names_of({**plain, "names": settings.names, "constants": settings.constants})
    assert found == settings.names | {kind: name}


def test_a_directory_is_called_by_its_own_name_and_never_by_an_options(tmp_path):
    settings = cell(tmp_path)
    for end, name in (("mine", "mine"), ("toy_gpt2", "models/toy_gpt2")):
        place = tmp_path / "models" / end
        place.mkdir(parents=True)
        plain = vars(settings) | {"model": {**settings.model, "name": str(place)}}
        assert names_of(plain)["model"] == name


def test_a_file_of_prompts_is_called_by_its_own_name(tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    settings = cell(tmp_path)
    task = {"name": "own_data", "data": str(tmp_path / "a.jsonl"), "metric": "kl"}
    plain = vars(settings) | {"task": task, "names": settings.names | {"task": "own_data"}}
    assert names_of(plain)["task"] == "a.jsonl metric=kl"


def test_words_of_the_users_own_stand(tmp_path):
    settings = cell(tmp_path)
    names = settings.names | {"method": "my way"}
    plain = vars(settings) | {"method": {**settings.method, "absolute": False}, "names": names}
    assert names_of(plain)["method"] == "my way"
    assert not is_said("method.absolute=false", plain)


def test_changes_that_a_name_says_are_not_said_twice(tmp_path):
    plain = vars(cell(tmp_path))
    said = ("method.absolute=true", "model.name=x", "+task.order=mixed")
    assert all(is_said(change, plain) for change in said)
    assert not any(is_said(change, plain) for change in ("n_train=8", "model.device=cpu"))


@pytest.mark.parametrize(
    ("names", "places", "longer"),
    [
        (["m", "m"], ["/a/m", "/b/m"], ["a/m", "b/m"]),
        (["m", "m", "m"], ["/a/x/m", "/b/x/m", "/b/y/m"], ["a/x/m", "b/x/m", "y/m"]),
        (["m", "m"], ["/a/m", "/a/m"], ["m", "m"]),
        (["m dtype=float64", "m"], ["/a/m", "/b/m"], ["m dtype=float64", "m"]),
        (["m k=1", "m k=1"], ["/a/m", "/b/m"], ["a/m k=1", "b/m k=1"]),
        (["a b.csv", "a b.csv"], ["x y/a b.csv", "z/a b.csv"], ["x y/a b.csv", "z/a b.csv"]),
        (["mine", "mine"], ["/a/m", "/b/m"], ["mine", "mine"]),
        (["m", "m"], ["m", "/a/m"], ["m", "a/m"]),
    ],
)
def test_places_are_told_apart(names, places, longer):
    assert told_apart(names, places) == longer


def test_values_are_written_as_they_are_typed():
    assert words([None, True, 0.5, {"a": [1]}, "x"]) == "[null,true,0.5,{a:[1]},x]"


def test_a_place_is_an_option_of_the_group_of_models(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for place in ("mine", "./mine", str(tmp_path / "mine")):
        assert configured("model", place, dtype="float64").name == str(tmp_path / "mine")
    assert configured("model", "owner/name").name == "owner/name"
    for wrong in ("/no/such", "./mine2", "~/no such", "a/b/c"):
        with pytest.raises(UserError, match=f"model={wrong} is no directory; give one that"):
            option_text("model", wrong)
    with pytest.raises(UserError, match="task=owner/name does not exist"):
        option_text("task", "owner/name")

"""How methods and ablations look: what is listed, what is not, and what is one's own."""

import re
import sys
from itertools import pairwise

import pytest

from benchmark import plugins
from benchmark.config import configured_names
from benchmark.errors import UserError
from benchmark.report.layout.looks import (
    ablation_colour,
    ablation_mark,
    ablation_place,
    automatic_colour,
    in_families,
    look,
    looks,
    training_look,
)


def test_every_method_has_a_look_of_its_own():
    listed = looks().methods
    marks = {(own.colour, own.mark) for own in listed.values()}
    dashes = {(own.colour, own.line) for own in listed.values()}
    assert len(marks) == len(dashes) == len(listed)
    assert all(own.line != ":" for own in listed.values())
    assert look("eap component").colour == look("eap").colour
    assert look("eap component") != look("eap") == listed["eap"]


def test_listed_ablations_are_options_and_have_colours_of_their_own():
    listed = looks().ablations
    assert set(listed) <= set(configured_names("ablation"))
    assert len(set(listed.values())) == len(listed)
    assert ablation_colour("mean keep_first=False") == listed["mean"]


def test_what_is_not_listed_comes_last_with_a_colour_of_its_own():
    names = [f"new{number}" for number in range(300)]
    colours = {automatic_colour(name) for name in names}
    listed = looks()
    used = {own.colour for own in listed.methods.values()} | set(listed.ablations.values())
    assert len(colours) == len(names) and not colours & used
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in colours)
    assert look("new1") == look("new1") and look("new1").colour == automatic_colour("new1")
    assert ablation_colour("new1") == automatic_colour("new1")
    assert in_families(["new2", "iterative", "new1", "ugs"]) == ["ugs", "iterative", "new1", "new2"]
    ordered = sorted(["new2", "counterfactual", "new1", "zero"], key=ablation_place)
    assert ordered == ["zero", "counterfactual", "new1", "new2"]
    marks = [ablation_mark(name) for name in listed.ablations]
    assert all(one != other for one, other in pairwise(marks)) and ablation_mark("new1") == ">"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function that gives a package of one's own this conf/look.yaml."""
    monkeypatch.setattr(plugins, "_packages", [])
    monkeypatch.delitem(sys.modules, "lookers", raising=False)

    def of(text):
        (tmp_path / "lookers" / "conf").mkdir(parents=True)
        (tmp_path / "lookers" / "__init__.py").touch()
        (tmp_path / "lookers" / "conf" / "look.yaml").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        plugins.use_plugins("lookers")

    return of


def test_a_package_of_ones_own_adds_to_the_list(own):
    own(
        """
methods:
  latest: {colour: "#123456", mark: D, dash: long}
  eap: {colour: "#123456"}
ablations:
  constant: "#654321"
"""
    )
    assert look("latest").colour == "#123456" and look("latest").line == (0, (9, 2))
    assert look("eap").colour == "#E69F00"
    assert ablation_colour("constant") == "#654321"
    assert sorted(["aaa", "constant", "zero"], key=ablation_place) == ["zero", "constant", "aaa"]
    assert in_families(["aaa", "latest", "ugs"]) == ["ugs", "latest", "aaa"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: {a: {colour: blue}}", "has the colour 'blue'; give one as '#0072B2'"),
        ("methods: {a: {colour: '#123456', mark: '?'}}", r"has mark='\?'; give one of o s"),
        ("methods: {a: {colour: '#123456', dash: dotted}}", "has dash='dotted'; give one of solid"),
        ("ablations: {a: red}", "has the colour 'red'"),
        ("method: {a: {}}", "look.method is not a setting of .*, did you mean 'methods'"),
    ],
)
def test_mistakes_are_named(own, text, message):
    own(text)
    with pytest.raises(UserError, match=message):
        looks()


def test_ways_of_training_that_are_compared_look_unlike():
    listed = looks().trainings
    assert {"baseline", "matched", "local_k1", "global_k4", "l1"} <= listed.keys()
    assert len({(one.colour, one.mark) for one in listed.values()}) == len(listed)
    assert training_look("baseline") == listed["baseline"]
    assert training_look("own") == training_look("own") != training_look("other")

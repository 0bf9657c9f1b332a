"""The table of `ablation-bench methods` says what the classes say."""

from dataclasses import fields
from enum import Enum

import pytest

from benchmark.cli.lists.methods import FACTS, facts_of, methods
from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask
from benchmark.method.problem import Problem
from benchmark.method.study import Study

# Settings without which a method has nothing to do, and how its line then ends.
NEEDED = {
    "imported": (dict(path="circuit.pt"), ", once method.path=FILE is given"),
    "ensemble": (dict(paths=["a"]), ", once method.paths=[results/KEY,...] is given"),
    **dict.fromkeys(
        ("stable", "transferred"), ({}, ", with method.base=eap; else those of the other method")
    ),
    "imported_lens": (dict(path="lens.pt"), ", once method.path=FILE is given"),
}


def can_have(name, level):
    try:
        configured("method", name, granularity=level)
    except UserError:
        return False
    return True


def found_by(name, method):
    """What the class says that it finds, at the levels that its settings offer and take."""
    if isinstance(method, Study):
        return method.kind.replace("_", " ")
    levels = {field.name: field.type for field in fields(method)}.get("granularity")
    offered = levels if isinstance(levels, type) and issubclass(levels, Enum) else ()
    taken = [f"{level.value}s" for level in offered if can_have(name, level.value)]
    return f"circuits of {', '.join(taken or ['edges'])}"


@pytest.fixture(scope="module")
def problems(models):
    """A problem under every ablation."""
    whole = {"whole": EdgeMask.full(models["gpt2"].graph)}
    names = configured_names("ablation")
    return {name: Problem.of(models["gpt2"], ablation=name, references=whole) for name in names}


def supported_by(problems, method):
    """The ablations under which the class says that it works."""
    able = [name for name, problem in problems.items() if method.unsupported(problem) is None]
    return "all" if able == [*problems] else ", ".join(able)


@pytest.mark.parametrize("name", configured_names("method"))
def test_a_methods_yaml_says_what_its_class_says(problems, name):
    changes, condition = NEEDED.get(name, ({}, ""))
    method, said = configured("method", name, **changes), facts_of(name)
    assert said["Finds"] == found_by(name, method)
    assert said["Ablations"] == supported_by(problems, method) + condition
    assert said["Passes"] and said["what"].endswith(".")


def test_the_table_has_a_row_a_method_and_shows_it_all():
    columns = [list(column.cells) for column in methods().columns]
    rows = {row[0]: row[1:] for row in zip(*columns, strict=True)}
    assert rows == {name: tuple(facts_of(name).values()) for name in configured_names("method")}
    assert rows["exact"][1] == "circuits of edges, components"
    assert rows["eap_ig"][3] == "counterfactual" and rows["ugs"][3] == "all"
    assert rows["hisp"][3] == "counterfactual, zero"


def test_what_a_yaml_does_not_say_is_empty(monkeypatch):
    text = "# A method.\n# Passes: 2 forward: or 3\n_target_: x\n# Finds: nothing\n"
    monkeypatch.setattr("benchmark.cli.lists.methods.option_text", lambda group, name: text)
    assert facts_of("it") == {"what": "A method.", **dict.fromkeys(FACTS, "")} | {
        "Passes": "2 forward: or 3"
    }

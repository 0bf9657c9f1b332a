"""What the code imports is what pyproject.toml declares, no more and no less."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN = ("benchmark", "methods", "tasks", "conf")


def imported(text: str) -> set[str]:
    """The top-level modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(requirements: list[str]) -> set[str]:
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in requirements}


def extras(project: dict) -> list[str]:
    """What users may add; `dev` is for tests."""
    groups = project["optional-dependencies"].items()
    return [line for name, lines in groups if name != "dev" for line in lines]


@pytest.mark.slow
def test_declared_dependencies_are_the_imported_ones():
    files = [path for folder in OWN for path in (ROOT / folder).rglob("*.py")]
    modules = set().union(*(imported(path.read_text()) for path in files))
    others = modules - set(sys.stdlib_module_names) - set(OWN)
    distributions = packages_distributions()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared, optional = names_of(project["dependencies"]), names_of(extras(project))
    # A module may come from a distribution of another name: hydra from hydra-core.
    needed = {m: {normal(name) for name in distributions.get(m, [m])} for m in others}
    known = declared | optional
    assert sorted(module for module, names in needed.items() if not names & known) == []
    assert not declared & optional
    assert declared - set().union(*needed.values()) == set()


def test_the_check_sees_imports_wherever_they_are():
    text = "import a.b\ndef f():\n    from c import d\n    import e as g\nfrom . import h\n"
    assert imported(text) == {"a", "c", "e"}

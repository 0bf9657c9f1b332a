"""The folders of tests: they mirror the packages, and no test file leans on another."""

import ast

import pytest
from support.paths import ROOT

TESTS = ROOT / "tests"


def imported(path):
    """The modules that a file imports, by name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_no_test_file_imports_another(path):
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] not in ("tests", "conftest") and not parts[-1].startswith("test_"), name


@pytest.mark.parametrize(
    "package", sorted(path.parent.name for path in ROOT.glob("benchmark/*/__init__.py"))
)
def test_every_package_of_the_core_has_a_folder_of_tests(package):
    assert list((TESTS / package).rglob("test_*.py"))

"""Folders: none is too long to read, tests mirror the packages, no test file leans on another."""

import ast

import pytest
from support.paths import ROOT

TESTS = ROOT / "tests"
# A folder of plug-ins holds one a file, however many there are.
PLUG_INS = ("methods/circuits", "tasks")
MOST_MODULES = 14


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


def test_folders_are_short_enough_to_be_read():
    packages = [path.parent for top in ("benchmark", "methods") for path in modules(top)]
    for folder in {str(path.relative_to(ROOT)) for path in packages} - {*PLUG_INS}:
        assert len(modules(folder, "*.py")) <= MOST_MODULES, folder


def modules(folder, pattern="**/*.py"):
    """The modules below a folder, but for those that only say what a package is."""
    return [path for path in (ROOT / folder).glob(pattern) if path.name != "__init__.py"]

"""A user's folder may have files of this suite's names; what hides it is named in one line."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import benchmark
from benchmark.errors import UserError
from benchmark.plugins import use_plugins
from benchmark.shadows import check_own

COMMAND = Path(sys.executable).with_name("ablation-bench")
NEEDS_TASKS = "from benchmark import configured; print(configured('task', 'ioi').name)"
NEEDS_METHODS = "from benchmark import configured; print(configured('method', 'eap').version)"
# What lies in the user's folder, what is typed there, and what is named.
CASES = {
    "tasks.py": (NEEDS_TASKS, "tasks"),
    "tasks/__init__.py": (NEEDS_TASKS, "tasks"),
    "conf/__init__.py": (NEEDS_TASKS, "conf"),
    "conf.py": (NEEDS_TASKS, "conf"),
    "methods.py": (NEEDS_METHODS, "methods"),
}


def python(code, folder):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def lay(folder, name):
    place = folder / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("raise SystemExit('the file of the user was run')\n")
    return place


@pytest.mark.parametrize("name", CASES)
def test_a_file_in_the_way_is_named_in_one_line(name, tmp_path):
    code, package = CASES[name]
    place = lay(tmp_path, name)
    result = python(code, tmp_path)
    own = Path(benchmark.__file__).parents[1] / package
    *_, last = result.stderr.splitlines()
    assert result.returncode == 1
    assert last == (
        f"benchmark.errors.UserError: {place} hides this suite's own package {package!r} ({own}): "
        "Python finds it first; rename it, or start Python in another folder"
    )


@pytest.mark.slow
def test_what_is_not_needed_may_be_hidden_and_plain_folders_hide_nothing(tmp_path):
    for name in ("benchmark", "conf", "tasks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").touch()
    lay(tmp_path, "methods.py")
    assert python(NEEDS_TASKS, tmp_path).stdout == "ioi\n"


def test_a_package_of_the_suites_own_name_is_named_by_python_itself(tmp_path):
    (tmp_path / "benchmark").mkdir()
    place = tmp_path / "benchmark" / "__init__.py"
    place.touch()
    *_, last = python("from benchmark import load_model", tmp_path).stderr.splitlines()
    assert last.startswith("ImportError") and str(place) in last


@pytest.mark.slow
def test_the_command_is_not_affected_but_by_pythonpath(tmp_path):
    for name in ("tasks.py", "methods.py", "conf/__init__.py", "benchmark/__init__.py"):
        place = lay(tmp_path, name)
    typed = [COMMAND, "validate", "task=ioi", "method=eap"]
    found = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "") and "missing" in found.stdout
    (tmp_path / "benchmark" / place.name).unlink()
    on_path = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(
        typed, cwd=tmp_path, capture_output=True, text=True, check=False, env=on_path
    )
    assert found.returncode == 2 and len(found.stderr.splitlines()) == 1
    assert f"{tmp_path / 'conf' / '__init__.py'} hides" in found.stderr


def test_a_module_of_the_users_that_is_in_use_is_named_too(tmp_path, monkeypatch):
    place = lay(tmp_path, "tasks.py")
    theirs = module_from_spec(spec_from_file_location("tasks", place))
    monkeypatch.setitem(sys.modules, "tasks", theirs)
    check_own.cache_clear()
    for check in (check_own, use_plugins):
        with pytest.raises(UserError, match=r"tasks\.py hides this suite's own package 'tasks'"):
            check("tasks")

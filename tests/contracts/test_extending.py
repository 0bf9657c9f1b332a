"""What one of everything costs: files in a package outside the repository, and no edit in it.

The package is `support/own/my_package`, copied to a folder of its own and run by the command line.
"""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from support.command import run_in_fork

from benchmark import plugins
from benchmark.config import configured, configured_names
from benchmark.errors import UserError
from benchmark.models.family import family_names
from benchmark.models.random_models import random_config, save_random_model

PACKAGE = Path(__file__).parents[1] / "support" / "own" / "my_package"
# Files of each, beside those that make a package; a task has a test of its own, too.
COSTS = {
    "method": ["latest.py", "conf/method/latest.yaml"],
    "ablation": ["constant.py", "conf/ablation/constant.yaml"],
    "metric": ["margin.py", "conf/metric/margin.yaml"],
    "task": ["echo.py", "conf/task/echo.yaml"],
    "model family": ["families/ministral.py", "conf/model/tiny_ministral.yaml"],
    "study": ["confidence.py", "conf/method/confidence.yaml", "report/confidence.py"],
}
FEW = ("n_train=6", "n_test=4", "sizes=[0.1,1.0]", "threads=1")
OWN = ("task=echo", "model=tiny_ministral", "ablation=constant", "attribution_metric=margin")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with the package, a model of its family, and nothing of this project."""
    shutil.copytree(PACKAGE, tmp_path / "my_package", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "_packages", [])
    monkeypatch.setattr(plugins, "_folders", [])
    plugins.use_plugins("my_package")
    save_random_model(tmp_path / "tiny_ministral", random_config("ministral"))
    plugins._packages.clear()
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
        del sys.modules[name]


def records(place):
    found = [json.loads(path.read_text()) for path in place.glob("results/*/record.json")]
    return {record["names"]["method"]: record for record in found}


def test_files_are_those_of_the_costs():
    files = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.*")}
    own = {name for name in files if "__" not in name}
    assert own == {name for listed in COSTS.values() for name in listed}


@pytest.mark.slow
def test_one_of_everything_runs_from_a_package_of_ones_own(place):
    """A method and a study, on a task, a metric, an ablation and a model of one's own."""
    own = ("plugins=[my_package]", *OWN, *FEW)
    result = run_in_fork("run", "-m", "method=latest,eap,confidence", *own, cwd=place)
    assert result.returncode == 0, result.stderr + result.stdout
    found = records(place)
    assert {name: record["status"] for name, record in found.items()} == dict.fromkeys(
        ("latest", "eap", "confidence"), "done"
    ), {name: record["reason"] for name, record in found.items()}
    assert found["latest"]["config"]["plugins"] == ["my_package"]
    table = pd.read_parquet(place / "results" / found["eap"]["key"] / "table.parquet")
    assert table["margin"].notna().all()
    drawn = run_in_fork("figures", cwd=place)
    assert drawn.returncode == 0, drawn.stderr
    pictures = " ".join(path.name for path in (place / "results" / "reports").iterdir())
    assert "gap_" in pictures and "confidence.png" in pictures and "circuit_" in pictures


@pytest.mark.slow
def test_verify_and_tables_need_nothing_typed(place):
    run_in_fork("run", "plugins=[my_package]", *OWN, *FEW, "method=latest", cwd=place)
    run_in_fork("run", "plugins=[my_package]", *OWN, *FEW, "method=confidence", cwd=place)
    keys = {name: record["key"] for name, record in records(place).items()}
    for key in keys.values():
        again = run_in_fork("verify", key, cwd=place)
        assert again.returncode == 0, again.stderr
        assert "every number agrees exactly" in again.stdout
    board = run_in_fork("leaderboard", cwd=place)
    assert board.returncode == 0, board.stderr
    assert "latest" in board.stdout and "how sure models are" in board.stdout


@pytest.mark.slow
def test_options_may_lie_in_a_folder_beside_the_package(place):
    shutil.move(place / "my_package" / "conf", place / "options")
    own = ("--config-dir", str(place / "options"), "plugins=[my_package]", *OWN, *FEW)
    result = run_in_fork("run", *own, "method=latest", cwd=place)
    assert result.returncode == 0, result.stderr + result.stdout
    (key,) = (record["key"] for record in records(place).values())
    without = run_in_fork("verify", key, cwd=place)
    assert without.returncode == 2 and "metric=margin does not exist" in without.stderr
    again = run_in_fork("verify", key, "--config-dir", str(place / "options"), cwd=place)
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_the_lists_name_what_is_ones_own(place):
    listed = run_in_fork("methods", "plugins=[my_package]", cwd=place)
    assert listed.returncode == 0 and "The edges that come last." in listed.stdout, listed.stderr
    shown = run_in_fork("tasks", "show", "task=echo", "model=tiny_ministral", "plugins=my_package",
                        cwd=place)  # fmt: skip
    assert shown.returncode == 0 and "echo and tiny_ministral" in shown.stdout, shown.stderr


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("plugins=[no_such]", "plugins has 'no_such', which cannot be imported"),
        ("plugins=[a-b]", "plugins has 'a-b'; give names of packages"),
        ("plugins=[json.decoder]", "plugins has 'json.decoder', a module; give a package"),
        ("method=latest", "method=latest does not exist"),
    ],
)
def test_mistakes_are_one_line(place, typed, message):
    result = run_in_fork("run", typed, cwd=place)
    assert result.returncode == 2
    assert result.stderr.startswith(f"ablation-bench: {message}")
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("file", "part", "what"),
    [
        ("constant.py", "traits", "ablation"),
        ("margin.py", "differentiable", "metric"),
        ("margin.py", "flat_at_clean", "metric"),
        ("latest.py", "uses", "method"),
    ],
)
def test_a_class_that_does_not_say_what_it_is_is_told_what_to_write(place, file, part, what):
    path = place / "my_package" / file
    lines = path.read_text().splitlines(keepends=True)
    (written,) = [line for line in lines if line.startswith(f"    {part}: ClassVar")]
    path.write_text("".join(line for line in lines if line is not written))
    result = run_in_fork("run", "plugins=[my_package]", *OWN, *FEW, "method=latest", cwd=place)
    assert result.returncode == 2, result.stderr
    (message,) = result.stderr.strip().splitlines()
    assert f"does not say its {part}, which every {what} does; write in the class: " in message
    assert written.strip().split(" = ")[0] in message
    assert not (place / "results").exists()


def test_a_package_that_nobody_named_is_refused(place):
    """Its options may be at hand, as with --config-dir; its code is not run."""
    result = run_in_fork(
        "run", "--config-dir", str(place / "my_package" / "conf"), "method=latest", cwd=place
    )
    assert result.returncode == 2
    assert "method._target_='my_package.latest.Latest' is not allowed" in result.stderr
    assert "plugins=[my_package]" in result.stderr


def test_from_python(place):
    with pytest.raises(UserError, match="method=latest does not exist"):
        configured("method", "latest")
    plugins.use_plugins("my_package")
    assert configured("method", "latest", reverse=True).reverse
    assert "constant" in configured_names("ablation") and "ministral" in family_names()

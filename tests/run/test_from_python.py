"""Cells from Python, beside the same cells from the command line."""

import json
from shutil import copytree

import pytest
from support.command import run_in_fork

from benchmark import run_cell
from benchmark.errors import UserError
from benchmark.zoo.cards import zoo_directory

# Alone on one thread, as a child cannot take over the threads of its parent.
FEW = dict(n_train=6, n_test=4, sizes=[0.1, 1.0], threads=1)
CHANGES = {"method": {"absolute": False}}


@pytest.mark.slow
def test_the_cell_is_that_of_the_command_line(tmp_path):
    places = [str(tmp_path / name) for name in ("python", "typed")]
    typed = ("task=ioi", "method=eap", "ablation=mean", "model=tiny_gpt2", "method.absolute=false",
             "n_train=6", "n_test=4", "sizes=[0.1,1.0]", "threads=1",
             f"results_dir={places[1]}")  # fmt: skip
    result = run_in_fork("run", *typed, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = run_cell("ioi", "eap", "mean", "tiny_gpt2", CHANGES, results_dir=places[0], **FEW)
    (record,) = (tmp_path / "typed").glob("*/record.json")
    assert json.loads(record.read_text())["key"] == found.record.key
    assert len(found.table) == 2 and found.path.parent == tmp_path / "python"


@pytest.mark.slow
def test_a_directory_serves_as_typed_everywhere(tmp_path):
    """In a sweep, to validate, to verify and from Python: one key, under the directory's name."""
    for parent in ("one", "two"):
        copytree(zoo_directory("tiny_gpt2"), tmp_path / parent / "my model")
    with (tmp_path / "two" / "my model" / "config.json").open("a") as file:
        file.write("\n")
    models = "model='one/my model',tiny_gpt2,'two/my model'"
    typed = ("-m", "task=ioi", "method=random", "ablation=mean", "n_train=6", "n_test=4",
             "sizes=[0.1,1.0]", "threads=1", models)  # fmt: skip
    result = run_in_fork("run", *typed, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for name in ("ioi random mean one/my model seed=0", "ioi random mean tiny_gpt2 seed=0",
                 "ioi random mean two/my model seed=0"):  # fmt: skip
        assert name in result.stdout
    asked = run_in_fork("validate", *typed, cwd=tmp_path)
    assert "3 done" in asked.stdout and "two/my model" in asked.stdout
    records = [json.loads(path.read_text()) for path in tmp_path.glob("results/*/record.json")]
    key = next(r["key"] for r in records if r["config"]["model"]["name"].endswith("one/my model"))
    assert run_in_fork("verify", key, cwd=tmp_path).returncode == 0
    board = run_in_fork("leaderboard", cwd=tmp_path).stdout
    assert "one/my model" in board and "two/my model" in board
    place, results = tmp_path / "one" / "my model", str(tmp_path / "results")
    found = run_cell("ioi", "random", "mean", place, results_dir=results, **FEW)
    assert found.record.key == key and found.record.names["model"] == "my model"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(task="iio"), "task=iio does not exist, did you mean 'ioi'"),
        (dict(n_tran=3), "config.n_tran is not a setting .* did you mean 'n_train'"),
        (dict(changes={"method": {"absolut": True}}), "method.absolut is not a setting"),
        (dict(method="hisp"), "was skipped: components are compared with"),
    ],
)
def test_mistakes_are_user_errors(tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        run_cell(model="tiny_gpt2", results_dir=str(tmp_path), **FEW, **settings)

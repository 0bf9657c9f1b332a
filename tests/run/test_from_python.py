"""Cells from Python, beside the same cells from the command line."""

import json

import pytest
from support.command import run_in_fork

from benchmark import run_cell
from benchmark.errors import UserError

# Alone on one thread, as a child cannot take over the threads of its parent.
FEW = dict(n_train=6, n_test=4, sizes=[0.1, 1.0], threads=1)
CHANGES = {"method": {"absolute": False}}


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

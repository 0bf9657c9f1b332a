"""Flags anywhere, and values that Hydra cannot read."""

import shlex

import pytest
from support.command import run_in_fork

from benchmark.cli.overrides import check_readable, flags_first
from benchmark.errors import UserError


def test_flags_and_their_values_come_first():
    typed = ["task=ioi", "-m", "a=b=c", "--config-dir", "folder", "~method", "--cfg=job"]
    assert flags_first(typed) == ["-m", "--config-dir", "folder", "--cfg=job", *typed[::5][:1],
                                  "a=b=c", "~method"]  # fmt: skip


@pytest.mark.parametrize(
    "typed", [["task=ioi", "-m"], ["experiment=smoke", "-m", "results_dir=x"], ["-m", "seed=0"]]
)
def test_the_flag_of_a_grid_may_stand_anywhere(typed, tmp_path):
    result = run_in_fork("validate", *typed, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "missing" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["r=1", "a[b", "it's", "${x"])
def test_a_value_that_cannot_be_read_is_one_line_with_the_form_to_type(value, tmp_path):
    result = run_in_fork("run", f"experiment_name={value}", cwd=tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    (setting,) = shlex.split(line.partition("type ")[2] or line.partition("the value: ")[2])
    if "${" not in value:
        check_readable([setting], [])
    assert list(tmp_path.iterdir()) == []


def test_references_to_no_setting_are_one_line(tmp_path):
    for typed in ("results_dir=${x}", "experiment_name=${x}", "results_dir=${seed}"):
        result = run_in_fork("run", typed, cwd=tmp_path)
        assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
        assert typed in result.stderr
    assert list(tmp_path.iterdir()) == []
    check_readable(["experiment_name=${seed}"], ["seed"])
    with pytest.raises(UserError, match="there are: seed"):
        check_readable(["experiment_name=${seeds}"], ["seed"])


def test_help_names_the_product():
    result = run_in_fork("run", "--help")
    assert result.stdout.startswith("ablation-bench is powered by Hydra")

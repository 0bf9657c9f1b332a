"""Flags anywhere, and values that Hydra cannot read."""

import shlex
import time

import pytest
from support.command import run_in_fork

from benchmark.cli.typed.overrides import check_readable, flags_first
from benchmark.errors import UserError


def test_flags_and_their_values_come_first():
    typed = ["task=ioi", "-m", "a=b=c", "--config-dir", "folder", "~method", "--cfg=job"]
    assert flags_first(typed) == ["-m", "--config-dir", "folder", "--cfg=job", *typed[::5][:1],
                                  "a=b=c", "~method"]  # fmt: skip


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["experiment_name=" + "x" * 10_001], "experiment_name has a value of 10,001 characters"),
        (["seed=range(0,1000000000)", "-m"], "a grid of more than 100,000 cells"),
        (["seed=range(0,1e12,0.5)", "-m"], "a grid of more than 100,000 cells"),
        (["seed=range(0,400)", "n_test=range(0,400)", "-m"], "a grid of more than 100,000 cells"),
        (["seed=range(0,5,0)", "-m"], "never ends"),
        (["sizes=" + "[" * 4_000 + "]" * 4_000], "sizes has more than 100 brackets"),
        (
            ["task.name='${model.name}${model.name}'", "model.name='${experiment_name}${seed}'"],
            "the command line: task.name has several references",
        ),
        (
            ["experiment_name='${task.name}${task.name}'", "task.name='${tracking}${tracking}'"],
            "experiment_name has several references ${...}, and one leads to task.name",
        ),
    ],
)
def test_what_stands_for_too_much_is_cut_at_once(typed, message):
    begun = time.process_time()
    with pytest.raises(UserError) as caught:
        check_readable(typed, ["model", "experiment_name", "seed", "tracking", "task"])
    assert time.process_time() - begun < 1
    assert message in str(caught.value) and "\n" not in str(caught.value)[:-1]


def test_a_grid_and_a_name_of_many_parts_are_taken():
    typed = ["seed=range(0,100)", "task=choice(ioi,docstring)", "-m"]
    check_readable([*typed, "experiment_name='${task.name}_${seed}'"], ["task", "seed"])


@pytest.mark.slow
def test_help_names_the_product():
    result = run_in_fork("run", "--help")
    assert result.stdout.startswith("ablation-bench is powered by Hydra")

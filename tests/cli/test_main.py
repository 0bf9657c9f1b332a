"""The command line as a user runs it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import run_in_fork
from support.paths import ROOT

from benchmark.config import configured_names

COMMAND = Path(sys.executable).with_name("ablation-bench")


def run(*arguments, cwd=None):
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, timeout=120, cwd=cwd, check=False
    )


@pytest.mark.slow
def test_ablations_prints_a_loss_gap_for_every_ablation(tmp_path, model_directories):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "ablations.yaml").write_text("a foreign folder that must not matter")
    arguments = (
        "ablations",
        "optimal_steps=20",
        "n_prompts=16",
        f"model_name={model_directories['llama']}",
    )
    result = run_in_fork(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"│ (\w+) +│ ([\d.]+) +│ ([\d.]+)", result.stdout)
    gaps = {name: float(gap) for name, gap, _ in rows}
    assert len(gaps) == 10
    assert all(gap > 0 for gap in gaps.values())
    assert gaps["optimal"] < gaps["zero"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["conf"]
    again = run_in_fork(*arguments, cwd=tmp_path)
    assert re.findall(r"│ (\w+) +│ ([\d.]+) +│ ([\d.]+)", again.stdout) == rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ablationss"], "'ablationss' is not a verb, did you mean 'ablations'?"),
        (["ablations", "keep=2"], "ablations.keep=2.0 is not a share"),
        (
            ["ablations", "+kep=1"],
            "ablations.kep is not a setting of benchmark.cli.ablations.Comparison, did",
        ),
        (
            ["ablations", "kep=1"],
            "ablations.kep is not a setting, did you mean 'keep'?; allowed: model_name",
        ),
        (
            ["ablations", "optimal_batch_size=0"],
            "optimal ablation needs steps >= 0, batch_size >= 1",
        ),
        (["ablations", "keep=abc"], "ablations.keep cannot be used: Value 'abc'"),
        (["ablations", "ablations=[zeros]"], "ablation=zeros does not exist, did you mean 'zero'"),
        (["ablations", "model_name=no/such"], "model 'no/such' cannot be loaded"),
        (["ablations", "n_prompts=1"], "ablations.n_prompts must be 2 or more"),
        (["export"], "export takes one key: ablation-bench export KEY results_dir=results"),
        (["export", "format=dot"], "export takes one key: ablation-bench export KEY results_dir"),
        (
            ["leaderboard", "with=records"],
            "leaderboard.with is not a setting; allowed: results_dir, experiment_name, "
            "model_names, task_names, score, at_share, evaluation, allow_missing, published, "
            "board_rows, reference, directory, hydra, --allow-missing, with=reference",
        ),
        (["tasks", "shoe"], "tasks takes no 'shoe'; did you mean ablation-bench tasks show?"),
        (["tasks", "show", "task=iio"], "task=iio does not exist, did you mean 'ioi'"),
        (["tasks", "show", "model=toy_gtp2"], "model=toy_gtp2 does not exist, did you mean 'toy_g"),
        (["tasks", "show", "tsk=ioi"], "tasks.tsk is not a setting, did you mean 'task'"),
        (["tasks", "show", "task.order=x"], "task.order cannot be used: Invalid value 'x'"),
        (["tasks", "show", "n_pairs=0"], "0 prompts were asked of ioi; ask for 1 or more"),
        (["tasks", "show", "split=dev"], "tasks.split cannot be used: Invalid value 'dev'"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    result = run_in_fork(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"ablation-bench: {message}")
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_task_without_prompts_for_a_tokenizer_is_one_line():
    result = run_in_fork("tasks", "show", "task=reversal")
    assert result.returncode == 2
    start = "ablation-bench: task reversal has 0 validation prompts for the tok"
    assert result.stderr.startswith(start) and len(result.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_help_is_quick_and_complete():
    assert "ablations" in run("--help").stdout
    assert "optimal_steps" in run("ablations", "--help").stdout
    assert "optimal_steps" in run("ablations", "--cfg", "job").stdout
    modules = "benchmark.cli, benchmark.cli.lists.tasks, benchmark.cli.lists.models"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_tasks_lists_every_task_with_the_scores_of_models():
    result = run_in_fork("tasks")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    for name in configured_names("task"):
        assert any(re.match(rf"│ {re.escape(name)} +│", line) for line in lines), name
    ioi = next(line for line in lines if re.match(r"│ ioi +│ 500 +│", line))
    (share,) = re.findall(r"toy_gpt2 ([0-9.]+)%", ioi)
    assert float(share) >= 99


@pytest.mark.slow
def test_tasks_show_prints_pairs_answers_and_predictions():
    result = run_in_fork("tasks", "show", "task=ioi", "model=toy_gpt2", "task.corruption=io_flip")
    assert result.returncode == 0, result.stderr
    pairs = re.findall(r"│ \d clean +│ (.*?) +│ ' (\w+)' +│ ' (\w+)' +│ '(\w+)'", result.stdout)
    assert len(pairs) == 5
    assert sum(right == predicted for _, right, _, predicted in pairs) >= 4
    corrupted = re.findall(r"│ corrupted +│ (.*?) +│ ' (\w+)' +│ +│ '(\w+)'", result.stdout)
    assert [wrong for _, _, wrong, _ in pairs] == [right for _, right, _ in corrupted]
    assert re.search(r"200 validation prompts: accuracy (100|99)\.", result.stdout)


@pytest.mark.slow
def test_tasks_show_works_on_the_users_own_prompts(tmp_path):
    rows = [
        {
            "clean": f"When {name} and John got a ring, John gave it to",
            "corrupted": f"When {name} and John got a ring, {name} gave it to",
            "answers": [f" {name}"],
            "wrong": [" John"],
            "split": "test",
        }
        for name in ("Mary", "Lisa", "Sarah")
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = ("task=own_data", "task.data=mine.jsonl", "model=toy_gpt2", "split=test")
    result = run_in_fork("tasks", "show", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "own_data and toy_gpt2: test prompts" in result.stdout
    assert "3 test prompts: accuracy" in result.stdout


@pytest.mark.slow
def test_training_a_model_of_the_zoo_prints_its_directory(tmp_path):
    script = ROOT / "scripts" / "train_zoo.py"
    settings = [
        "model=tiny_gpt2", f"directory={tmp_path / 'zoo'}", "steps=2", "checkpoint_every=1",
        "texts_per_source=20", "n_scored=5", "scored=[ioi]", "tracking=offline",
    ]  # fmt: skip
    result = subprocess.run(
        [sys.executable, script, *settings],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str(tmp_path / "zoo" / "tiny_gpt2")
    assert (tmp_path / "zoo" / "tiny_gpt2" / "card.json").exists()
    assert list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))

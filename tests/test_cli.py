"""The command line as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("ablation-bench")


def run(*arguments, cwd=None):
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, timeout=120, cwd=cwd, check=False
    )


def test_demo_prints_a_loss_gap_for_every_ablation(tmp_path, model_directories):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "demo.yaml").write_text("a foreign folder that must not matter")
    arguments = ("demo", "optimal_steps=20", "n_prompts=16", f"model={model_directories['llama']}")
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"│ (\w+) +│ ([\d.]+) +│ ([\d.]+)", result.stdout)
    gaps = {name: float(gap) for name, gap, _ in rows}
    assert len(gaps) == 10
    assert all(gap > 0 for gap in gaps.values())
    assert gaps["optimal"] < gaps["zero"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["conf"]
    again = run(*arguments, cwd=tmp_path)
    assert re.findall(r"│ (\w+) +│ ([\d.]+) +│ ([\d.]+)", again.stdout) == rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demoo"], "'demoo' is not a verb, did you mean 'demo'?"),
        (["demo", "keep=2"], "demo.keep=2.0 is not a share"),
        (["demo", "+kep=1"], "demo.kep is not a setting of benchmark.demo.Demo, did you mean"),
        (["demo", "kep=1"], "demo.kep is not a setting, did you mean 'keep'?; allowed: model"),
        (["demo", "optimal_batch_size=0"], "optimal ablation needs steps >= 0, batch_size >= 1"),
        (["demo", "keep=abc"], "demo.keep cannot be used: Value 'abc'"),
        (["demo", "ablations=[zeros]"], "ablation=zeros does not exist, did you mean 'zero'"),
        (["demo", "model=no/such"], "model 'no/such' cannot be loaded"),
        (["demo", "n_prompts=1"], "demo.n_prompts must be 2 or more"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"ablation-bench: {message}")
    assert len(result.stderr.strip().splitlines()) == 1


def test_help_is_quick_and_complete():
    assert "demo" in run("--help").stdout
    assert "optimal_steps" in run("demo", "--help").stdout
    assert "optimal_steps" in run("demo", "--cfg", "job").stdout
    code = "import sys, benchmark.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

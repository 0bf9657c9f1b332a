"""The example of a sweep of Weights & Biases gives commands that name cells."""

import pytest
import yaml
from support.command import run_in_fork
from support.paths import ROOT

SWEEP = yaml.safe_load((ROOT / "scripts" / "wandb_sweep.yaml").read_text())


def command(chosen):
    """What an agent runs for one choice of values."""
    # Takes seconds, in every process that looks for tests.
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    args = create_sweep_command_args({"args": {name: {"value": v} for name, v in chosen.items()}})
    typed = []
    for word in create_sweep_command(SWEEP["command"]):
        typed += args[word[2:-1]] if word.startswith("${") else [word]
    return typed


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, -1])
def test_an_agent_runs_a_cell_for_every_choice(tmp_path, number):
    rows = SWEEP["parameters"].items()
    chosen = {
        name: row["values"][number] if "values" in row else row["value"] for name, row in rows
    }
    first, second, *settings = command(chosen)
    assert (first, second) == ("ablation-bench", "run")
    listed = run_in_fork("validate", *settings, cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "1 missing" in listed.stdout and chosen["method"] in listed.stdout

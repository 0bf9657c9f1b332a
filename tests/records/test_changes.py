"""The command that makes a record again names what differs from the defaults, and nothing else."""

import shlex
from dataclasses import replace

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from support.cells import cell
from support.made.records import record

from benchmark.config import build
from benchmark.records.changes import changed_settings, command_of
from benchmark.run.cell import Cell

CHANGES = [
    {},
    {"method": "ugs", "ablation": "optimal", "training_steps": 30, "seed": 3},
    {"attribution_metric": "logit_difference", "evaluate_under": ["zero", "mean"]},
    {"task": "ioi_six_names", "sizes": [5, 0.5], "threads": 1},
]


def record_of(made: Cell):
    return replace(record(made.key), names=made.called, config=made.settings())


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_the_command_gives_the_same_key(tmp_path, changes):
    made = cell(tmp_path, **changes)
    command = shlex.split(command_of(record_of(made)))
    assert command[:2] == ["ablation-bench", "run"]
    with initialize_config_module("conf", version_base="1.3"):
        config = compose("config", overrides=command[2:], return_hydra_config=True)
    names = {kind: config.hydra.runtime.choices[kind] for kind in made.names}
    del config.hydra
    config = OmegaConf.merge(config, {"names": names, "experiment_name": None})
    assert build(config, where="run").key == made.key


def test_what_is_as_its_option_has_it_is_not_named(tmp_path):
    made = record_of(cell(tmp_path))
    changed = {"constants.steps", "constants.batch_size", "sizes", "n_train", "n_test"}
    assert changed_settings(made).keys() == changed
    assert "method." not in command_of(made) and "seed" not in command_of(made)


def test_text_that_a_shell_or_hydra_would_read_is_quoted(tmp_path):
    made = record_of(cell(tmp_path))
    strange = "it's $HOME, null"
    config = made.config | {"task": made.config["task"] | {"order": strange}}
    typed = shlex.split(command_of(replace(made, config=config)))
    assert r"task.order='it\'s $HOME, null'" in typed


def test_a_directory_is_the_option(tmp_path):
    made = record_of(cell(tmp_path))
    model = made.config["model"] | {"name": "/models/mine"}
    names = made.config["names"] | {"model": "/models/mine"}
    config = made.config | {"model": model, "names": names}
    assert "model=/models/mine" in command_of(replace(made, config=config)).split()

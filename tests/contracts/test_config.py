"""Every yaml file builds, and every mistake in one is one clear message."""

from dataclasses import fields
from itertools import product

import pytest
import yaml
from omegaconf import OmegaConf
from support.paths import CONF

from benchmark.cli.typed.arguments import check_arguments
from benchmark.config import _schema, build, configured, configured_names
from benchmark.errors import UserError
from benchmark.pretraining.language import ZooTraining
from benchmark.pretraining.self_ablation.training import SelfAblationTraining
from benchmark.run.cell import Cell
from benchmark.zoo.cards import zoo_directory

FILES = sorted(CONF.rglob("*.yaml"))
# Parts of a configuration that is spelt out elsewhere.
MODELS = sorted((CONF / "zoo" / "model").glob("*.yaml"))
OF_SELF_ABLATION = [
    path
    for part in ("recipe", "losses", "experiment")
    for path in sorted(CONF.glob(f"zoo/{part}/*"))
]
PARTS = [*MODELS, *OF_SELF_ABLATION]

EXPERIMENTS = sorted((CONF / "experiment").glob("*.yaml"))
# Settings of Hydra's own.
LAUNCHERS = sorted((CONF / "hydra").rglob("*.yaml"))
WHOLE = [path for path in FILES if path not in PARTS + EXPERIMENTS + LAUNCHERS]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiments_change_settings_that_there_are(path):
    text = path.read_text()
    assert text.startswith("# @package _global_\n# ")
    settings = yaml.safe_load(text)
    grid = settings.pop("hydra")["sweeper"]["params"]
    of_groups = {key for key in grid if "." in key}
    assert set(settings) | set(grid) - of_groups <= {field.name for field in fields(Cell)}
    for group, options in grid.items():
        if (CONF / group).is_dir():
            others = set(options.split(",")) - set(configured_names(group))
            assert all(group == "model" and zoo_directory(other) for other in others)
    for key in of_groups:
        group, name = key.split(".")
        for option, value in product(grid[group].split(","), str(grid[key]).split(",")):
            changed = configured(group, option, **{name: value})
            assert str(getattr(getattr(changed, name), "value", getattr(changed, name))) == value


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_models_of_the_zoo_change_settings_that_there_are(path):
    text = path.read_text()
    assert text.startswith("# @package _global_\n# ")
    settings = yaml.safe_load(text)
    assert settings["name"] == path.stem
    assert set(settings) <= {field.name for field in fields(ZooTraining)}


@pytest.mark.parametrize("path", OF_SELF_ABLATION, ids=lambda path: path.stem)
def test_parts_of_self_ablation_change_settings_that_there_are(path):
    text = path.read_text()
    assert text.startswith("# @package _global_\n# ")
    settings = yaml.safe_load(text)
    assert set(settings) <= {field.name for field in fields(SelfAblationTraining)}


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: str(path.relative_to(CONF)))
def test_yaml_keys_are_the_fields_and_each_has_a_comment(path):
    lines = path.read_text().splitlines()
    settings = yaml.safe_load(path.read_text())
    own = [key for key in settings if key not in ("defaults", "hydra", "_target_")]
    schema = _schema(settings["_target_"], "test")
    assert own == [field.name for field in fields(schema)]
    for key in own:
        line = next(i for i, text in enumerate(lines) if text.startswith(f"{key}:"))
        assert lines[line - 1].startswith("#"), key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(positionl=True), "ablation.positionl is not a setting.*did you mean 'positional'"),
        (dict(steps="many"), "ablation.steps cannot be used: Value 'many'.*Integer"),
        (dict(steps=None), "ablation.steps cannot be used"),
        (dict(_target_="os.system"), "'os.system' is not allowed; give a class in benchmark"),
        (dict(_target_="benchmark.ablations.optimal.Optimum"), "cannot be imported"),
        (dict(_target_="benchmark.seeds.generator"), "is not a dataclass"),
    ],
)
def test_mistakes_are_explained(change, message):
    with pytest.raises(UserError, match=message):
        configured("ablation", "optimal", **change)


def test_missing_keys_and_options_are_explained():
    with pytest.raises(UserError, match=r"ablation\.keep_first is missing"):
        build(OmegaConf.create({"_target_": "benchmark.ablations.fixed.Zero"}), "ablation")
    with pytest.raises(UserError, match=r"ablation=optimum does not exist.*'optimal'"):
        configured("ablation", "optimum")
    with pytest.raises(UserError, match="conf/ablations does not exist"):
        configured_names("ablations")
    with pytest.raises(UserError, match="over_wrong cannot be used"):
        configured("metric", "logit_difference", over_wrong="median")


def test_numbers_convert():
    assert configured("ablation", "optimal", learning_rate="1e-3").learning_rate == 1e-3
    assert configured("ablation", "gaussian", scale=2).scale == 2.0


def test_settings_that_only_a_running_job_knows_can_be_typed():
    typed = ["experiment_name=mine", "names.task=other", "results_dir=there"]
    assert check_arguments("config", typed) == typed


def test_settings_of_a_group_that_varies_reach_each_cell():
    typed = ["-m", "method=ugs,hcgs", "method.masks_per_step=4", "method.prices=[0.1,0.2]"]
    found = check_arguments("config", [*typed, "method.steps=2,3", "task.order=abba"])
    settings = ["method.masks_per_step=choice(4)", "method.prices=choice([0.1,0.2])"]
    assert found[2:] == [*settings, "method.steps=2,3", "task.order=abba"]
    chosen = check_arguments("config", ["-m", "method=choice(ugs,hcgs)", "method.clip=3"])
    assert chosen[-1] == "method.clip=choice(3)"
    assert check_arguments("config", ["method=ugs", "method.steps=2"]) == [
        "method=ugs",
        "method.steps=2",
    ]

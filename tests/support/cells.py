"""A cell as the command line would build it."""

from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from support.paths import CONF

from benchmark.config import build
from benchmark.run.cell import Cell


def cell(results_dir, **changes) -> Cell:
    """A quick cell on the smallest model."""
    return build(cell_config(results_dir, **changes), where="run")


def cell_config(
    results_dir, *, method="eap", ablation="counterfactual", task="ioi", **changes
) -> DictConfig:
    """Its settings."""
    model = changes.pop("model", "tiny_gpt2")
    chosen = dict(model=model, task=task, method=method, ablation=ablation)
    groups = {group: _settings(CONF / group / f"{option}.yaml") for group, option in chosen.items()}
    quick = dict(n_train=8, n_test=8, sizes=[0.1, 0.5], experiment_name=None, names=chosen)
    quick |= dict(constants=dict(steps=2, learning_rate=0.01, batch_size=4))
    whole = _settings(CONF / "config.yaml") | groups | quick | dict(results_dir=str(results_dir))
    return OmegaConf.merge(whole, changes)


@cache
def _settings(path: Path) -> dict[str, Any]:
    settings = OmegaConf.to_container(OmegaConf.load(path))
    return {key: value for key, value in settings.items() if key not in ("defaults", "hydra")}

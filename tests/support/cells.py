"""A cell as the command line would build it."""

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
    config = OmegaConf.load(CONF / "config.yaml")
    for key in ("defaults", "hydra"):
        del config[key]
    chosen = dict(model=model, task=task, method=method, ablation=ablation)
    for group, option in chosen.items():
        config[group] = OmegaConf.load(CONF / group / f"{option}.yaml")
    config.names = chosen
    quick = dict(n_train=8, n_test=8, sizes=[0.1, 0.5], experiment_name=None)
    constants = dict(steps=2, learning_rate=0.01, batch_size=4)
    return OmegaConf.merge(
        config, quick, {"constants": constants, "results_dir": str(results_dir)}, changes
    )

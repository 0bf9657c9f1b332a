"""Train a model of the zoo.

Run python scripts/train_zoo.py model=toy_gpt2, or --config-name known_circuit for the model that is
trained to implement a known circuit, or --config-name self_ablation for those that ablate
themselves; -m trains several. The settings are in conf/zoo/. A run that was stopped goes on where
its last checkpoint was.
"""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from benchmark.config import build
from benchmark.errors import UserError
from benchmark.memory import keep_freed_memory


@hydra.main(version_base="1.3", config_path="../conf/zoo", config_name="train")
def main(config: DictConfig) -> None:
    """Train and say where the model is."""
    keep_freed_memory()
    try:
        print(build(config, where="zoo").run(command()))
    except UserError as error:
        sys.stderr.write(f"train_zoo: {error}\n")
        sys.exit(2)


def command() -> str:
    """What makes this model, of several that were asked for, without what decides nothing."""
    free = ("directory=", "tracking=", "checkpoint_every=")
    run = HydraConfig.get()
    kept = [setting for setting in run.overrides.task if not setting.startswith(free)]
    named = [] if run.job.config_name == "train" else [f"--config-name {run.job.config_name}"]
    return " ".join(["python scripts/train_zoo.py", *named, *kept])


if __name__ == "__main__":
    main()

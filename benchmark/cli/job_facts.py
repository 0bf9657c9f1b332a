"""What a job of Hydra's knows of itself."""

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from benchmark.cli.terminal import refuse
from benchmark.cli.typed.own import use_config_dir

# Launchers that run cells side by side on one machine, by a word of their class.
SIDE_BY_SIDE = "joblib"


def job_facts() -> tuple[int, tuple[str, ...]]:
    """The number of this cell in its grid, and what the grid changes for it beside options."""
    use_config_dir()
    facts = HydraConfig.get()
    if facts.mode is not RunMode.MULTIRUN:
        launcher = facts.runtime.choices["hydra/launcher"]
        if launcher != "basic":
            refuse(f"hydra/launcher={launcher} starts the cells of a grid; add -m")
        return 0, ()
    return facts.job.num, changes_among(facts.overrides.task)


def changes_among(given: Sequence[str]) -> tuple[str, ...]:
    """What is given for a cell of the grid that Hydra runs, without what its names say."""
    shown = ("seed", "results_dir", "experiment_name", *HydraConfig.get().runtime.choices)
    return tuple(
        text
        for text in given
        if (name := text.split("=")[0].lstrip("+")) not in shown and not name.startswith("hydra.")
    )


def is_side_by_side() -> bool:
    """Whether this process is one of several that run the cells of a grid on this machine."""
    facts = HydraConfig.get()
    return facts.mode is RunMode.MULTIRUN and SIDE_BY_SIDE in facts.launcher._target_

"""Where runs are mirrored on Weights & Biases."""

from types import TracebackType
from typing import Any

from benchmark.errors import UserError, near

MODES = ("off", "offline", "online")


def check_mode(mode: str) -> None:
    """Refuse what is not a mode.

    Raises:
        UserError: there is no such mode.
    """
    if mode not in MODES:
        raise UserError(f"tracking={mode} is not one of {', '.join(MODES)}{near(mode, MODES)}")


class Tracker:
    """A context in which `log` writes to Weights & Biases, or does nothing.

    Args:
        mode: off, offline (files under wandb/, to be synchronised later) or online.
        name: name and id of the run; a run of the same name is continued.
        settings: recorded as the run's configuration.
    """

    def __init__(self, mode: str, name: str, settings: dict[str, Any]) -> None:
        self.mode, self.name, self.settings = mode, name, settings
        self.run: Any = None

    def __enter__(self) -> "Tracker":
        """Begin the run."""
        if self.mode != "off":
            import wandb

            self.run = wandb.init(
                project="ablation-bench",
                group="zoo",
                name=self.name,
                id=self.name,
                resume="allow",
                config=self.settings,
                mode="offline" if self.mode == "offline" else "online",
                settings=wandb.Settings(x_transaction_log_flush_interval=1),
            )
        return self

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record values of one step."""
        if self.run is not None:
            self.run.log(values, step=step)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the run."""
        if self.run is not None:
            self.run.finish(exit_code=0 if error is None else 1)

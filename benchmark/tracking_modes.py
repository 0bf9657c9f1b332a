"""Where runs are mirrored on Weights & Biases."""

from benchmark.errors import UserError, near

MODES = ("off", "offline", "online")


def check_mode(mode: str) -> None:
    """Refuse what is not a mode.

    Raises:
        UserError: there is no such mode.
    """
    if mode not in MODES:
        raise UserError(f"tracking={mode} is not one of {', '.join(MODES)}{near(mode, MODES)}")

"""What was typed, as Hydra's own parser reads it: a value that it cannot read is one line."""

import re
import shlex

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from benchmark.errors import UserError

REFERENCE = re.compile(r"\$\{([^}:]*)\}")
# Flags of the command, and the settings that they stand for.
FLAGS = {"--allow-missing": "allow_missing=true"}
# Hydra's own flags that are followed by a word.
FLAGS_WITH_A_VALUE = (
    "--cfg", "-c", "--package", "-p", "--info", "-i", "--config-path", "-cp", "--config-name",
    "-cn", "--config-dir", "-cd",
)  # fmt: skip


def flags_first(arguments: list[str]) -> list[str]:
    """The arguments with the flags before the settings, as Hydra's parser wants them."""
    flags: list[str] = []
    settings: list[str] = []
    before = ""
    for argument in arguments:
        is_flag = argument.startswith("-") or before in FLAGS_WITH_A_VALUE
        (flags if is_flag else settings).append(argument)
        before = "" if before in FLAGS_WITH_A_VALUE else argument
    return [*flags, *settings]


def check_readable(arguments: list[str], names: list[str]) -> None:
    """Refuse settings that Hydra cannot read, with the form to type.

    Args:
        arguments: what goes to Hydra.
        names: the settings that a value may refer to.

    Raises:
        UserError: a value cannot be read, or refers to what there is not.
    """
    parser = OverridesParser.create()
    for argument in arguments:
        if "=" not in argument or argument.startswith("-"):
            continue
        key, _, value = argument.partition("=")
        try:
            parser.parse_override(argument)
        except HydraException as error:
            raise UserError(
                f"{argument} cannot be read; quote the value: {_quoted(key, value)}"
            ) from error
        _check_references(key, value, names)


def _quoted(key: str, value: str) -> str:
    """The setting as a shell hands it on with its value in quotes."""
    inner = value.strip("'\"").replace("\\", "\\\\").replace("'", "\\'")
    return shlex.quote(f"{key}='{inner}'") if "'" in inner else f"\"{key}='{inner}'\""


def _check_references(key: str, value: str, names: list[str]) -> None:
    if key == "results_dir" and "${" in value:
        raise UserError(f"{key}={value} refers to another setting; give a folder")
    for name in REFERENCE.findall(value):
        if name.split(".")[0] not in names:
            raise UserError(
                f"{key}={value} refers to {name!r}, which is no setting; there are: "
                f"{', '.join(names)}"
            )

"""What was typed, as Hydra's own parser reads it: a value that it cannot read is one line."""

import math
import re
import shlex

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException

from benchmark.cli.typed.references import References
from benchmark.errors import UserError

REFERENCE = re.compile(r"\$\{([^}:]*)\}")
# A longer value is a file's, and a larger grid is run in parts.
LONGEST_VALUE, MOST_BRACKETS, MOST_CELLS = 10_000, 100, 100_000
# Words of the command, and the settings that they stand for; `with` can be no field's name.
FLAGS = {"--allow-missing": "allow_missing=true", "with=reference": "reference=true"}
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
        UserError: a value cannot be read, refers to what there is not, or stands for too much.
    """
    parser = OverridesParser.create()
    n_cells, references = 1, References()
    for argument in arguments:
        if "=" not in argument or argument.startswith("-"):
            continue
        key, _, value = argument.partition("=")
        _check_length(key, value)
        try:
            n_cells *= _n_values(parser.parse_override(argument))
        except HydraException as error:
            raise UserError(
                f"{argument} cannot be read; quote the value: {_quoted(key, value)}"
            ) from error
        _check_references(key, value, names)
        references.add(key, value, "the command line")
    references.check("the command line")
    if n_cells > MOST_CELLS:
        raise UserError(f"this is a grid of more than {MOST_CELLS:,} cells; run it in parts")


def _check_length(key: str, value: str) -> None:
    if len(value) > LONGEST_VALUE:
        raise UserError(
            f"{key[:80]} has a value of {len(value):,} characters; give at most {LONGEST_VALUE:,}, "
            "or an option in a file"
        )
    if sum(map(value.count, "[{(")) > MOST_BRACKETS:
        raise UserError(f"{key} has more than {MOST_BRACKETS} brackets; give an option in a file")


def _n_values(override: Override) -> int:
    """How many values a setting goes through in a grid."""
    value = override.value()
    if isinstance(value, RangeSweep):
        if not value.step or value.start is None or value.stop is None:
            raise UserError(f"{override.input_line} never ends; write range(START,STOP,STEP)")
        n_values = (value.stop - value.start) / value.step
        return max(1, math.ceil(n_values)) if n_values < MOST_CELLS else MOST_CELLS + 1
    return len(value.list) if isinstance(value, ChoiceSweep) else 1


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

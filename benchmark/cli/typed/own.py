"""The user's own packages and folders, as typed after any verb.

`plugins=[my_package]` lets a verb build from a package, and puts the options in its folder `conf/`
beside this project's; `--config-dir` adds a folder of options alone.
"""

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from benchmark.cli.typed.own_folder import check_folder
from benchmark.cli.typed.place_source import take_places
from benchmark.errors import UserError
from benchmark.plugins import plugins, use_folder, use_plugins
from benchmark.shadows import options_folder

SETTING = "plugins"
CONFIG_DIR = ("--config-dir", "-cd", "--config-path", "-cp")


def use_typed(arguments: list[str], settings: str | None) -> list[str]:
    """Use the packages that were typed; return the arguments as the verb takes them.

    Args:
        arguments: what was typed after the verb.
        settings: the config file of the verb, without its ending, or None if it has none.

    Raises:
        UserError: a package cannot be imported, or --config-dir is no folder or holds code.
    """
    typed = [text for text in arguments if text.startswith(f"{SETTING}=")]
    for text in typed:
        use_plugins(*_names(text.partition("=")[2]))
    for folder in _folders(arguments):
        check_folder(folder)
    if settings is None:
        return _without_folder([text for text in arguments if text not in typed])
    keeps = f"\n{SETTING}:" in options_folder().joinpath(f"{settings}.yaml").read_text()
    return [text for text in arguments if keeps or text not in typed]


def search_path() -> str:
    """What tells Hydra of the options of the packages in use, and that a place may be an option."""
    sources = [f"pkg://{name}.conf" for name in plugins() if files(name).joinpath("conf").is_dir()]
    return f"hydra.searchpath=[{','.join([*sources, take_places()])}]"


def use_config_dir() -> None:
    """In a job of Hydra: options of the folder that --config-dir names can be named in settings."""
    for source in HydraConfig.get().runtime.config_sources:
        if source.provider == "command-line" and source.schema == "file":
            use_folder(Path(source.path))


def _names(value: str) -> list[str]:
    return [name for part in value.strip("[]").split(",") if (name := part.strip(" '\""))]


def _folders(arguments: list[str]) -> list[Path]:
    """The folders of options that flags name."""
    found = []
    for text, after in pairwise([*arguments, ""]):
        flag, _, value = text.partition("=")
        if flag in CONFIG_DIR:
            folder = Path(value or after)
            if not folder.is_dir():
                raise UserError(f"{flag} {folder} is not a folder")
            found.append(folder)
    return found


def _without_folder(arguments: list[str]) -> list[str]:
    """The arguments of a verb that Hydra does not see, without --config-dir, which is used here."""
    kept, rest = [], iter(arguments)
    for text in rest:
        flag, _, value = text.partition("=")
        if flag in CONFIG_DIR:
            use_folder(Path(value or next(rest, "")))
        else:
            kept.append(text)
    return kept

"""The user's own packages and folders, as typed after any verb.

`plugins=[my_package]` lets a verb build from a package, and puts the options in its folder `conf/`
beside this project's; `--config-dir` adds a folder of options alone.
"""

from importlib.resources import files
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from benchmark.errors import UserError
from benchmark.plugins import plugins, use_folder, use_plugins

SETTING = "plugins"
CONFIG_DIR = ("--config-dir", "-cd")


def use_typed(arguments: list[str], settings: str | None) -> list[str]:
    """Use the packages that were typed; return the arguments as the verb takes them.

    Args:
        arguments: what was typed after the verb.
        settings: the config file of the verb, without its ending, or None if it has none.

    Raises:
        UserError: a package cannot be imported, or --config-dir is no folder.
    """
    typed = [text for text in arguments if text.startswith(f"{SETTING}=")]
    for text in typed:
        use_plugins(*_names(text.partition("=")[2]))
    if settings is None:
        return _without_folder([text for text in arguments if text not in typed])
    keeps = f"\n{SETTING}:" in files("conf").joinpath(f"{settings}.yaml").read_text()
    kept = [text for text in arguments if keeps or text not in typed]
    sources = [f"pkg://{name}.conf" for name in plugins() if files(name).joinpath("conf").is_dir()]
    return [*kept, f"hydra.searchpath=[{','.join(sources)}]"] if sources else kept


def use_config_dir() -> None:
    """In a job of Hydra: options of the folder that --config-dir names can be named in settings."""
    for source in HydraConfig.get().runtime.config_sources:
        if source.provider == "command-line" and source.schema == "file":
            use_folder(Path(source.path))


def _names(value: str) -> list[str]:
    return [name for part in value.strip("[]").split(",") if (name := part.strip(" '\""))]


def _without_folder(arguments: list[str]) -> list[str]:
    """The arguments of a verb that Hydra does not see, without --config-dir, which is used here."""
    kept, rest = [], iter(arguments)
    for text in rest:
        flag, _, value = text.partition("=")
        if flag not in CONFIG_DIR:
            kept.append(text)
            continue
        folder = Path(value or next(rest, ""))
        if not folder.is_dir():
            raise UserError(f"{flag} {folder} is not a folder")
        use_folder(folder)
    return kept

"""From yaml to objects, through one door.

A target's own dataclass is its schema: a key that is not a field, a missing key, a wrong type or
choice is one clear error with the full key. Defaults live in the yaml files under conf/ only.
"""

from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.errors import UserError, near

ALLOWED_PACKAGES = ("benchmark", "tasks", "methods")


def build(config: DictConfig, where: str, allowed: tuple[str, ...] = ALLOWED_PACKAGES) -> Any:  # noqa: ANN401
    """The object that a config node with a `_target_` describes.

    Args:
        config: a mapping with `_target_` and every field of the target's dataclass.
        where: the node's full key, for messages ("ablation").
        allowed: top-level packages that a target may come from.

    Raises:
        UserError: the target cannot be used, or a key is unknown, missing or of a wrong type.
    """
    values: Any = OmegaConf.to_container(config, resolve=True)
    target = values.pop("_target_", None)
    schema = _schema(target, where, allowed)
    names = [field.name for field in fields(schema)]
    for key in values:
        if key not in names:
            raise UserError(
                f"{where}.{key} is not a setting of {target}{near(key, names)}; allowed are: "
                f"{', '.join(names) or 'none'}"
            )
    missing = [name for name in names if name not in values]
    if missing:
        raise UserError(f"{where}.{missing[0]} is missing; {target} needs {', '.join(names)}")
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{where}.{error.full_key} cannot be used: {reason}") from error


def configured(group: str, name: str, **changes: Any) -> Any:  # noqa: ANN401
    """An object from conf/`group`/`name`.yaml with some settings changed, for use from Python.

    Raises:
        UserError: there is no such option, or a setting cannot be used.
    """
    options = configured_names(group)
    if name not in options:
        raise UserError(
            f"{group}={name} does not exist{near(name, options)}; options are: {', '.join(options)}"
        )
    text = files("conf").joinpath(group, f"{name}.yaml").read_text()
    config = OmegaConf.merge(OmegaConf.create(text), changes)
    assert isinstance(config, DictConfig)
    return build(config, where=group)


def configured_alone(name: str, **changes: Any) -> Any:  # noqa: ANN401
    """An object from conf/`name`.yaml, the settings of a verb, with some changed."""
    settings: Any = OmegaConf.create(files("conf").joinpath(f"{name}.yaml").read_text())
    own = {key: settings._get_node(key) for key in settings if key not in ("defaults", "hydra")}
    config = OmegaConf.merge(own, changes)
    assert isinstance(config, DictConfig)
    return build(config, where=name)


def configured_names(group: str) -> list[str]:
    """The options of a config group."""
    folder = files("conf").joinpath(group)
    if not folder.is_dir():
        raise UserError(f"conf/{group} does not exist; a group is a folder of yaml files in conf/")
    found = (entry.name for entry in folder.iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def _schema(target: Any, where: str, allowed: tuple[str, ...]) -> Any:  # noqa: ANN401
    if not isinstance(target, str) or target.split(".")[0] not in allowed:
        raise UserError(
            f"{where}._target_={target!r} is not allowed; give a class in {', '.join(allowed)}"
        )
    module, _, name = target.rpartition(".")
    try:
        schema = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{where}._target_={target!r} cannot be imported: {error}") from error
    if not is_dataclass(schema):
        raise UserError(f"{where}._target_={target!r} is not a dataclass")
    return schema

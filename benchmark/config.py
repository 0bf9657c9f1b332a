"""From yaml to objects, through one door.

A target's own dataclass is its schema: a key that is not a field, a missing key, a wrong type or
choice is one clear error with the full key. Defaults live in yaml files only: those under conf/,
and those of the user's own packages and folders.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from importlib import import_module
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from benchmark.errors import UserError, near
from benchmark.plugins import is_allowed, own_folders, plugins
from benchmark.shadows import check_own, options_folder

T = TypeVar("T")
_shared: ContextVar[dict[str, Any] | None] = ContextVar("shared", default=None)
ALLOWED_PACKAGES = ("benchmark", "tasks", "methods")
# The group in which a directory or a repository serves as an option, with the settings of another.
PLACES_IN, AS_OPTION = "model", "gpt2"
# What the classes of a group say of themselves, for all who ask, and how that is written.
SAID = {
    "ablation": {"traits": "traits: ClassVar[Traits] = Traits(total=True)"},
    "metric": {
        "unit": 'unit: ClassVar[str] = "logits"',
        "higher_is_better": "higher_is_better: ClassVar[bool] = True",
        "differentiable": "differentiable: ClassVar[bool] = True",
        "flat_at_clean": "flat_at_clean: ClassVar[bool] = False",
    },
    "method": {
        "version": "version: ClassVar[int] = 1",
        "uses": 'uses: ClassVar[frozenset[str]] = frozenset({"sizes"})',
    },
}


def build(config: DictConfig, where: str) -> Any:  # noqa: ANN401
    """The object that a config node with a `_target_` describes.

    Args:
        config: a mapping with `_target_` and every field of the target's dataclass.
        where: the node's full key, for messages ("ablation").

    Raises:
        UserError: the target cannot be used, does not say what every class of its group does, or
            a key is unknown, missing or of a wrong type.
    """
    values: Any = OmegaConf.to_container(config, resolve=True)
    target = values.pop("_target_", None)
    schema = _schema(target, where)
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
        built = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))
    except MissingMandatoryValue as error:
        key = str(error.full_key)
        # A group's own settings are typed behind its name, a verb's as they are.
        key = f"{where}.{key}" if options_folder().joinpath(where).is_dir() else key
        raise UserError(f"{key} has no value; type {key}=VALUE") from error
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        if "is not a ListConfig" in reason:
            reason = f"it is a list; write {error.full_key}=[{values.get(str(error.full_key))}]"
        raise UserError(f"{where}.{error.full_key} cannot be used: {reason}") from error
    for part, written in SAID.get(where, {}).items():
        if not hasattr(built, part):
            raise UserError(
                f"{target} does not say its {part}, which every {where} does; write in the "
                f"class: {written}"
            )
    return built


def configured(group: str, name: str, **changes: Any) -> Any:  # noqa: ANN401
    """An object from conf/`group`/`name`.yaml with some settings changed, for use from Python.

    Raises:
        UserError: there is no such option, or a setting cannot be used.
    """

    def made() -> Any:  # noqa: ANN401
        config = OmegaConf.merge(OmegaConf.create(option_text(group, name)), changes)
        assert isinstance(config, DictConfig)
        return build(config, where=group)

    return once(["configured", group, name, changes], made)


@contextmanager
def sharing_built() -> Iterator[None]:
    """Inside, what is built twice of equal settings is one object; files are read once, too."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def once(what: list[Any], make: Callable[[], T]) -> T:
    """What `make` gives; inside `sharing_built`, what it gave for the same before."""
    shared = _shared.get()
    if shared is None:
        return make()
    key = repr(what)
    if key not in shared:
        shared[key] = make()
    return shared[key]


def configured_alone(name: str, **changes: Any) -> Any:  # noqa: ANN401
    """An object from conf/`name`.yaml, the settings of a verb, with some changed."""
    settings: Any = OmegaConf.create(options_folder().joinpath(f"{name}.yaml").read_text())
    own = {key: settings._get_node(key) for key in settings if key not in ("defaults", "hydra")}
    config = OmegaConf.merge(own, changes)
    assert isinstance(config, DictConfig)
    return build(config, where=name)


def texts_of(name: str) -> list[str]:
    """The file conf/`name`.yaml, then those of that name in the folders of the user's own."""
    places = (place.joinpath(f"{name}.yaml") for place in (options_folder(), *own_folders()))
    return [place.read_text() for place in places if place.is_file()]


def configured_names(group: str) -> list[str]:
    """The options of a config group, with those of the user's own."""
    return sorted(_options(group))


def described(thing: Any) -> list[Any]:  # noqa: ANN401 - a dataclass of any kind
    """An object as plain values, for keys and fingerprints: its class's name and its settings.

    Where a class of this project lies does not count; a class of another package has that
    package's name before its own.
    """
    package, name = type(thing).__module__.partition(".")[0], type(thing).__qualname__
    return [name if package in ALLOWED_PACKAGES else f"{package}.{name}", plain(asdict(thing))]


def plain(value: Any) -> Any:  # noqa: ANN401 - settings of any kind
    """Settings as values that JSON can hold."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def option_text(group: str, name: str) -> str:
    """The yaml file of an option; what it would be, for a model's directory or repository.

    Raises:
        UserError: there is no such option.
    """
    options = _options(group)
    if name not in options and group == PLACES_IN and is_place(name):
        known = OmegaConf.create(options[AS_OPTION].read_text())
        return OmegaConf.to_yaml(OmegaConf.merge(known, {"name": _whole_place(name)}))
    if name not in options:
        listed = ", ".join(sorted(options))
        raise UserError(
            f"{group}={name} does not exist{near(name, options)}; options are: {listed}"
        )
    return options[name].read_text()


def is_place(name: str) -> bool:
    """Whether a word is a directory, or has the form of a repository of the hub."""
    return "/" in name or Path(name).is_dir()


def _whole_place(name: str) -> str:
    """A directory's whole path; a repository as it is."""
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if name.startswith(("/", ".", "~")) or name.count("/") != 1:
        raise UserError(
            f"{PLACES_IN}={name} is no directory; give one that save_pretrained wrote, a "
            f"repository of the hub (owner/name), or an option of conf/{PLACES_IN}"
        )
    return name


def _options(group: str) -> dict[str, Traversable]:
    """The files of a group by option; as with Hydra, this project's own come first."""
    return once(["options", group], lambda: _listed(group))


def _listed(group: str) -> dict[str, Traversable]:
    own = options_folder()
    if not own.joinpath(group).is_dir():
        raise UserError(f"conf/{group} does not exist; a group is a folder of yaml files in conf/")
    places = [place.joinpath(group) for place in (own, *own_folders())]
    found: dict[str, Traversable] = {}
    for place in places:
        for entry in place.iterdir() if place.is_dir() else ():
            if entry.name.endswith(".yaml"):
                found.setdefault(entry.name.removesuffix(".yaml"), entry)
    return found


def _schema(target: Any, where: str) -> Any:  # noqa: ANN401
    allowed = (*ALLOWED_PACKAGES, *plugins())
    if not isinstance(target, str) or not is_allowed(target, allowed):
        raise UserError(
            f"{where}._target_={target!r} is not allowed; give a class in {', '.join(allowed)}, or "
            "name the package that it lies in: plugins=[my_package]"
        )
    check_own(target)
    module, _, name = target.rpartition(".")
    try:
        schema = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{where}._target_={target!r} cannot be imported: {error}") from error
    if not is_dataclass(schema):
        raise UserError(f"{where}._target_={target!r} is not a dataclass")
    return schema

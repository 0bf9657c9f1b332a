"""The user's own packages: what else may be built from, beside this project.

Such a package is code, and is imported. It may hold classes of methods, tasks, ablations and
metrics, their options in a folder `conf/` (as in this project's), adapters of model families in
`families/` and reports of its studies in `report/`, which are all found by name.
"""

from collections.abc import Iterable
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

from benchmark.errors import UserError
from benchmark.shadows import check_own

_packages: list[str] = []
_folders: list[Path] = []


def use_plugins(*packages: str) -> None:
    """Allow these packages, beside those allowed before, for the rest of this process.

    Raises:
        UserError: one is no importable package, or has a name of this suite's own.
    """
    for package in packages:
        if package in _packages:
            continue
        if not all(part.isidentifier() for part in package.split(".")):
            raise UserError(
                f"plugins has {package!r}; give names of packages: plugins=[my_package]"
            )
        check_own(package)
        try:
            found = find_spec(package)
            import_module(package)
        except ImportError as error:
            raise UserError(
                f"plugins has {package!r}, which cannot be imported ({error}); install it, or put "
                "the folder that holds it on PYTHONPATH"
            ) from error
        if found is None or found.submodule_search_locations is None:
            raise UserError(f"plugins has {package!r}, a module; give a package, a folder of them")
        _packages.append(package)


def use_folder(folder: Path) -> None:
    """Take options from a folder of the user's own, as --config-dir says, too."""
    if folder not in _folders:
        _folders.append(folder)


def plugins() -> tuple[str, ...]:
    """The packages in use."""
    return tuple(_packages)


def own_folders() -> list[Traversable]:
    """Folders of the user's own with options, each with a folder a group as in conf/."""
    return [*(files(package).joinpath("conf") for package in _packages), *_folders]


def is_allowed(target: str, packages: Iterable[str]) -> bool:
    """Whether a class lies in one of the packages."""
    return any(target.startswith(f"{package}.") for package in packages)

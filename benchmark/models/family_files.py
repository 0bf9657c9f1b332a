"""Where model families lie: this project's `families/` and those of the user's own packages.

Only names are looked at, so that lists of families need no torch.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from benchmark.plugins import plugins


def family_modules() -> dict[str, str]:
    """The module of every family by its `model_type`; this project's own come first."""
    found: dict[str, str] = {}
    for place in _places():
        for module in iter_modules(import_module(place).__path__):
            found.setdefault(module.name, f"{place}.{module.name}")
    return dict(sorted(found.items()))


def family_file(module: str) -> Path:
    """The file of a family's module."""
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin)


def _places() -> Iterator[str]:
    """The packages that hold families."""
    for package in ("benchmark.models", *plugins()):
        if find_spec(f"{package}.families") is not None:
            yield f"{package}.families"

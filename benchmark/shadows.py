"""What lies in the way of the suite's packages, whose names a user's folder may have, too.

In notebooks, under pytest and with `python -c`, Python looks into the user's folder first, and
takes a file `tasks.py` or a package `conf` there for this suite's own. Its errors would then speak
of missing options and modules; here they name the file. The console command does not look there.
"""

import sys
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

from benchmark.errors import UserError

PACKAGES = ("benchmark", "conf", "tasks", "methods")
HOME = Path(__file__).parents[1]


@cache
def check_own(module: str) -> None:
    """Check that what a module of this suite lies in is found where this suite is.

    Args:
        module: a dotted name; those that lie in other packages are left alone.

    Raises:
        UserError: Python finds something else of that name first.
    """
    package = module.partition(".")[0]
    if package not in PACKAGES:
        return
    found, own = _place(package), HOME / package / "__init__.py"
    if found is None:
        raise UserError(f"{own.parent} is missing; install ablation-bench again")
    if found.resolve() != own.resolve():
        raise UserError(
            f"{found} hides this suite's own package {package!r} ({own.parent}): Python finds it "
            "first; rename it, or start Python in another folder"
        )


def options_folder() -> Traversable:
    """The folder `conf` of this suite.

    Raises:
        UserError: something else of that name is found first.
    """
    check_own("conf")
    return files("conf")


def _place(package: str) -> Path | None:
    """The file that `import` takes a package from, or the first folder of one without a file."""
    known = sys.modules.get(package)
    spec: ModuleSpec | None = getattr(known, "__spec__", None) or find_spec(package)
    if spec is None:
        return None
    folders = spec.submodule_search_locations or []
    place = spec.origin or next(iter(folders), None)
    return None if place is None else Path(place)

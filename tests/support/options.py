"""Options by the classes that they describe."""

import pkgutil
import re
from functools import cache

from benchmark.config import configured_names, option_text


@cache
def class_of(group: str, name: str) -> type:
    """The class that an option describes, which is not made: of all methods, that takes seconds."""
    target = re.search(r"^_target_: (\S+)$", option_text(group, name), re.MULTILINE)
    return pkgutil.resolve_name(target[1])


def methods_of(kind: type) -> list[str]:
    """The methods whose class is of a kind."""
    return [
        name for name in configured_names("method") if issubclass(class_of("method", name), kind)
    ]

"""References `${...}` that few lines could blow up to billions of values, refused when read.

A value with several references is as large as all that they name, and if those have several too,
sizes multiply. So what has several may not lead to what has several, by whatever ways.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmark.errors import UserError

# A folder has few; each is compared with all others.
MOST_REFERRING = 2_000
REFERENCE = re.compile(r"\$\{([^{}]*)\}")


@dataclass(frozen=True)
class _Node:
    """A value, or a mapping or list of values, at a dotted path, and all names it refers to."""

    path: str
    names: tuple[str, ...]
    is_text: bool


class References:
    """What of some settings refers to what.

    Args:
        by_last_word: settings may be moved to other paths, so that only the last words of names
            can be compared.
    """

    def __init__(self, *, by_last_word: bool = False) -> None:
        self._by_last_word = by_last_word
        self._nodes: list[_Node] = []

    def add(self, path: str, value: Any, where: str) -> list[str]:  # noqa: ANN401 - of yaml
        """Note a value and all below it; return the names that they refer to.

        Raises:
            UserError: a reference lies within another.
        """
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            below = (self.add(f"{path}.{key}".strip("."), item, where) for key, item in items)
            names = [name for part in below for name in part]
        else:
            names = list(_names(value, where)) if isinstance(value, str) else []
        if names:
            self._nodes.append(_Node(path, tuple(names), isinstance(value, str)))
        return names

    def check(self, where: str) -> None:
        """Refuse what would multiply.

        Raises:
            UserError: a value with several references leads to another one.
        """
        if len(self._nodes) > MOST_REFERRING:
            raise UserError(f"{where} has more than {MOST_REFERRING:,} values with references")
        several = [node for node in self._nodes if len(node.names) > 1 and node.path]
        for node in several:
            for other in self._led_to(node):
                apart = not f"{other.path}.".startswith(f"{node.path}.")
                if apart and len(other.names) > 1:
                    raise UserError(
                        f"{where}: {node.path} has several references ${{...}}, and one leads to "
                        f"{other.path}, which has several too; write values"
                    )

    def _led_to(self, node: _Node) -> list[_Node]:
        """All that is read when a node is."""
        found: list[_Node] = []
        ahead = [node]
        while ahead:
            names = ahead.pop().names
            new = [n for n in self._nodes if n not in found and any(self._is(n, m) for m in names)]
            found += new
            ahead += new
        return found

    def _is(self, node: _Node, name: str) -> bool:
        """Whether a name may read a node: as it is, or below one that is a reference itself."""
        if self._by_last_word:
            return node.path.rpartition(".")[2] in name.split(".")
        parents = [name]
        while node.is_text and "." in parents[-1]:
            parents.append(parents[-1].rpartition(".")[0])
        return any(f".{node.path}".endswith(f".{parent}") for parent in parents)


def _names(text: str, where: str) -> Iterator[str]:
    """The paths that a text refers to, those that resolvers are given among them."""
    if REFERENCE.sub("", text).count("${"):
        raise UserError(f"{where} has a reference within a reference: {text[:80]}; write values")
    for inner in REFERENCE.findall(text):
        _, colon, arguments = inner.partition(":")
        for name in arguments.split(",") if colon else [inner]:
            yield name.strip(" .'\"").replace("[", ".").replace("]", "")

"""A dataclass as a file that holds only what its types allow, written in one way and sealed.

The file is strict JSON: an infinity is text ("inf"), an undefined number null. Its `seal` is the
SHA-256 of the canonical JSON of all else, and all but its indentation must be what would be
written, so no flipped bit passes. What a field may hold is said by its annotation alone; a rule
such as `AtLeast` is put beside the type by `Annotated`.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from functools import lru_cache, partial
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from benchmark.digests import digest

SEAL = "seal"
MOST_NESTED = 50
INDENTATION = re.compile(rb"\n *")
INFINITE = {"inf": math.inf, "-inf": -math.inf}
Sealed = TypeVar("Sealed")
# Gives a value from what JSON has, checked; the text says where it stands.
Reader = Callable[[Any, str], Any]


class FormError(ValueError):
    """A content that is not of the form; the message says what and where."""


class VersionError(FormError):
    """A whole content, but of other fields.

    Attributes:
        content: all that it holds.
    """

    def __init__(self, reason: str, content: dict[str, Any]) -> None:
        super().__init__(reason)
        self.content = content


@dataclass(frozen=True)
class AtLeast:
    """A rule: a finite number of this size or more."""

    least: int

    def __call__(self, value: int | float) -> str | None:
        """What is wrong, if anything."""
        finite = self.least <= value < math.inf
        return None if finite else f"{value} is not a finite number of {self.least} or more"


@dataclass(frozen=True)
class Matches:
    """A rule: text of this pattern."""

    pattern: str
    meaning: str

    def __call__(self, value: str) -> str | None:
        """What is wrong, if anything."""
        fits = re.fullmatch(self.pattern, value, re.ASCII)
        return None if fits else f"{value[:80]!r} is not {self.meaning}"


@dataclass(frozen=True)
class Has:
    """A rule: a mapping with these names, of these types, and perhaps with others."""

    names: tuple[str, ...]
    kind: type = object

    def __call__(self, value: dict[str, Any]) -> str | None:
        """What is wrong, if anything."""
        for name in self.names:
            if name not in value:
                return f"{name!r} is missing"
            if not isinstance(value[name], self.kind):
                return f"{name!r} is not of type {self.kind.__name__}"
        return None


def to_bytes(thing: object) -> bytes:
    """The file of a dataclass.

    Raises:
        FormError: a field holds what it may not.
    """
    content = _plain(asdict(thing), MOST_NESTED)  # pyright: ignore[reportArgumentType]
    _typed(type(thing), content)
    return _canonical(content | {SEAL: digest(content)}, indent=1)


def from_bytes(form: type[Sealed], text: bytes, schema: int) -> Sealed:
    """The dataclass that a file holds.

    Raises:
        VersionError: it has other fields, or another `schema`.
        FormError: it is damaged, or was written by something else.
    """
    try:
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise FormError(f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise FormError("it is not a JSON object")
    seal = content.pop(SEAL, None)
    _check_depth(content)
    intact = seal == digest(content)
    # Before there were seals there were schemas.
    if (intact or seal is None) and content.get("schema", schema) != schema:
        raise VersionError(f"its schema is {content['schema']}, not {schema}", content)
    if not intact:
        raise FormError("its content does not have the digest that it names")
    strange = sorted(set(content) ^ set(_hints(form)))
    if strange:
        verb = "has" if strange[0] in content else "lacks"
        raise VersionError(f"it {verb} the field {strange[0]!r}", content)
    fields = _typed(form, content)
    if INDENTATION.sub(b"", text) != _canonical(content | {SEAL: seal}, indent=None).rstrip():
        raise FormError("it is not written as records are")
    return form(**fields)


def _no_number(text: str) -> float:
    raise FormError(f"it is not JSON ({text} is no number)")


def _canonical(sealed: dict[str, Any], indent: int | None) -> bytes:
    """The one text of a content; without indentation it is on one line, and quickly made."""
    between = ",", ": "
    text = json.dumps(sealed, indent=indent, separators=between, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"


def _typed(form: type, content: dict[str, Any]) -> dict[str, Any]:
    hints = _hints(form)
    return {name: _reader(hints[name])(value, name) for name, value in content.items()}


@lru_cache
def _hints(form: type) -> dict[str, Any]:
    return get_type_hints(form, include_extras=True)


def _plain(value: Any, levels: int) -> Any:  # noqa: ANN401
    """The value as strict JSON has it."""
    _check_level(levels)
    if isinstance(value, dict):
        return {str(key): _plain(part, levels - 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, levels - 1) for part in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _check_depth(value: Any, levels: int = MOST_NESTED) -> None:  # noqa: ANN401
    _check_level(levels)
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _check_depth(part, levels - 1)


def _check_level(levels: int) -> None:
    if levels < 0:
        raise FormError(f"it is nested more than {MOST_NESTED} deep")


@lru_cache
def _reader(hint: Any) -> Reader:  # noqa: ANN401
    """What reads values of a type that JSON has, and checks what the type allows."""
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value, where: value
    if origin is Annotated:
        return _ruled(_reader(inside[0]), inside[1:])
    if type(None) in inside:
        (other,) = (_reader(part) for part in inside if part is not type(None))
        return lambda value, where: None if value is None else other(value, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return partial(_member, hint)
    if hint is float:
        return _number
    if origin is dict:
        return _mapping(*map(_reader, inside))
    if origin is list:
        return _listed(_reader(inside[0]))
    return partial(_of_type, hint)


def _of_type(kind: type, value: Any, where: str) -> Any:  # noqa: ANN401
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise FormError(f"{where}: {str(value)[:80]!r} is not of type {kind.__name__}")
    return value


def _mapping(name: Reader, part: Reader) -> Reader:
    def read(value: Any, where: str) -> dict[str, Any]:  # noqa: ANN401
        found = _of_type(dict, value, where).items()
        return {name(key, where): part(one, f"{where}.{key}") for key, one in found}

    return read


def _listed(part: Reader) -> Reader:
    return lambda value, where: [part(one, where) for one in _of_type(list, value, where)]


def _ruled(read: Reader, rules: Sequence[Callable[[Any], str | None]]) -> Reader:
    def ruled(value: Any, where: str) -> Any:  # noqa: ANN401
        found = read(value, where)
        for rule in rules:
            wrong = rule(found)
            if wrong:
                raise FormError(f"{where}: {wrong}")
        return found

    return ruled


def _member(kind: type[Enum], value: Any, where: str) -> Enum:  # noqa: ANN401
    try:
        return kind(value)
    except ValueError as error:
        listed = ", ".join(str(one.value) for one in kind)
        raise FormError(f"{where}: {str(value)[:80]!r} is not one of {listed}") from error


def _number(value: Any, where: str) -> float:  # noqa: ANN401
    if value is None:
        return math.nan
    if isinstance(value, str) and value in INFINITE:
        return INFINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormError(f"{where}: {str(value)[:80]!r} is not a number")
    return float(value)

"""Word lists that tasks draw from: one file each, lines that begin with # say where it is from."""

from functools import cache
from importlib.resources import files


@cache
def lines(name: str) -> tuple[str, ...]:
    """The lines of a list: one word each, or `singular/plural`, or `country capital`."""
    text = files("tasks.words").joinpath(f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


@cache
def names() -> tuple[str, ...]:
    """All first names."""
    return lines("male_names") + lines("female_names") + lines("other_names")


@cache
def number_pairs() -> tuple[tuple[str, str], ...]:
    """Countable nouns as (singular, plural)."""
    return tuple(tuple(line.split("/")) for line in lines("countable_nouns"))  # type: ignore[misc]


@cache
def verb_pairs() -> tuple[tuple[str, str], ...]:
    """Verbs as (third person singular, plural)."""
    return tuple(tuple(line.split("/")) for line in lines("verbs"))  # type: ignore[misc]


@cache
def capitals() -> dict[str, str]:
    """Country to capital."""
    return dict(line.split() for line in lines("capitals"))


@cache
def categories() -> dict[str, tuple[str, ...]]:
    """Category to its members, both in the plural."""
    split = (line.split(": ") for line in lines("categories"))
    return {category: tuple(members.split()) for category, members in split}


@cache
def classes() -> dict[str, dict[str, tuple[str, ...]]]:
    """Things to be classified: by list, label to inputs."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    name = ""
    for line in lines("classes"):
        if line.startswith("["):
            name = line.strip("[]")
            found[name] = {}
        else:
            label, inputs = line.split(": ")
            found[name][label] = tuple(inputs.split(" | "))
    return found

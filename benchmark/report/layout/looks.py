"""How methods, ablations and ways of training look, in which order: data of `conf/look.yaml`.

What is not listed comes last, in the order of names, with a colour, mark and dash that follow from
its name alone.
"""

import colorsys
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from benchmark.config import build, texts_of
from benchmark.errors import UserError

MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
Line = str | tuple[int, tuple[int, ...]]
# Matplotlib's styles of lines, by our names.
DASHES: dict[str, Line] = {
    "solid": "-", "dashed": "--", "dashdot": "-.", "long": (0, (9, 2)),
    "double": (0, (6, 1, 2, 1, 2, 1)),
}  # fmt: skip
COLOUR = re.compile("#[0-9A-Fa-f]{6}")


@dataclass
class Look:
    """How a method's line is drawn; not frozen, as settings inside of others cannot be.

    Attributes:
        colour: of its line and marks, as "#RRGGBB".
        mark: one of `MARKS`, matplotlib's sign for the shape of a point.
        dash: one of `DASHES`.
    """

    colour: str
    mark: str = MARKS[0]
    dash: str = "solid"

    def __post_init__(self) -> None:
        """Check what a file may have wrong."""
        _check_colour(self.colour)
        for name, allowed in (("mark", MARKS), ("dash", DASHES)):
            if getattr(self, name) not in allowed:
                given = getattr(self, name)
                raise UserError(
                    f"conf/look.yaml has {name}={given!r}; give one of {' '.join(allowed)}"
                )

    @property
    def line(self) -> Line:
        """Matplotlib's style of the line."""
        return DASHES[self.dash]


@dataclass(frozen=True)
class Looks:
    """All that is listed; see conf/look.yaml.

    Attributes:
        methods: the look of each, in their order.
        ablations: the colour of each, in their order.
        trainings: the look of each way of training.
    """

    methods: dict[str, Look] = field(default_factory=dict)
    ablations: dict[str, str] = field(default_factory=dict)
    trainings: dict[str, Look] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the colours."""
        for colour in self.ablations.values():
            _check_colour(colour)


def look(label: str) -> Look:
    """The look of a method, the same in every picture.

    A variant ("eap absolute=False", "eap component") has the method's colour and a mark and dash of
    its own.
    """
    return _listed_or_own(label, looks().methods)


def training_look(label: str) -> Look:
    """The look of models that were trained in one way."""
    return _listed_or_own(label, looks().trainings)


def _listed_or_own(label: str, known: Mapping[str, Look]) -> Look:
    name = option(label)
    if label in known:
        return known[label]
    number = _number(label)
    colour = known[name].colour if name in known else automatic_colour(name)
    return Look(colour, MARKS[number % len(MARKS)], list(DASHES)[number % len(DASHES)])


def in_families(methods: Iterable[str]) -> list[str]:
    """The methods, each once, those of a family side by side."""
    present, known = set(methods), looks().methods
    return [*(name for name in known if name in present), *sorted(present - set(known))]


def ablation_colour(label: str) -> str:
    """The colour of an ablation, the same in every picture."""
    name = option(label)
    return looks().ablations.get(name) or automatic_colour(name)


def ablation_place(label: str) -> tuple[int, str]:
    """What ablations are sorted by: the place of the option, then the whole label."""
    known = [*looks().ablations]
    name = option(label)
    return (known.index(name) if name in known else len(known)), label


def ablation_mark(label: str) -> str:
    """The mark of an ablation; those that are not listed share the last."""
    place, _ = ablation_place(label)
    return MARKS[place % len(MARKS)] if place < len(looks().ablations) else MARKS[-1]


def option(label: str) -> str:
    """The option that a label begins with."""
    return label.split(" ")[0]


def automatic_colour(name: str) -> str:
    """A colour that follows from a name: of any hue, neither too light nor too dark."""
    hue, light = (part / 0xFFFF for part in divmod(_number(name), 0x10000))
    parts = colorsys.hls_to_rgb(hue, 0.3 + 0.2 * light, 0.65)
    return "#" + "".join(f"{round(255 * part):02X}" for part in parts)


def looks() -> Looks:
    """All that is listed: what this project lists, and after it what is the user's own.

    Raises:
        UserError: a file has what no look has.
    """
    return _parsed(tuple(texts_of("look")))


@cache
def _parsed(texts: tuple[str, ...]) -> Looks:
    listed: dict[str, dict[str, Any]] = {}
    for text in texts:
        content: Any = OmegaConf.to_container(OmegaConf.create(text))
        content.pop("_target_", None)
        for part, entries in content.items():
            known = listed.setdefault(part, {})
            # What was listed first keeps its place and its look.
            known |= {name: value for name, value in (entries or {}).items() if name not in known}
    target = f"{Looks.__module__}.{Looks.__qualname__}"
    return build(OmegaConf.create({"_target_": target, **listed}), where="look")


def _check_colour(colour: str) -> None:
    if not COLOUR.fullmatch(colour):
        raise UserError(f"conf/look.yaml has the colour {colour!r}; give one as '#0072B2'")


def _number(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)

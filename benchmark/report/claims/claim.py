"""A claim: what a paper says, the cells that test it, and the rule by which it holds.

Each is a file of conf/claims/. What no cell could decide is refused when the file is read.
"""

import math
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from omegaconf import OmegaConf

from benchmark.config import configured, configured_names, option_text
from benchmark.errors import UserError, near
from benchmark.report.kinds import report_of_kind
from benchmark.report.measured import Measures, Quantity
from benchmark.zoo.cards import zoo_directory

GROUP, EXPERIMENT, UNDER = "claims", "experiment=", " under "
# In a model's name: seeds of training, one model each.
SEED = "{seed}"


class Effect(Enum):
    """How two cells are compared: the first minus the second, or divided by it."""

    difference = "difference"
    ratio = "ratio"


class Side(Enum):
    """Where the whole interval must lie."""

    below = "below"
    above = "above"


@dataclass(frozen=True)
class Tested:
    """A cell but for its task, model and seed: the names of its method and its ablation."""

    method: str
    ablation: str

    @classmethod
    def of(cls, words: str) -> "Tested":
        """The cell of `METHOD under ABLATION`.

        Raises:
            UserError: the words say something else, or there is no such method or ablation.
        """
        method, under, ablation = words.partition(UNDER)
        if not under:
            raise UserError(f"{words!r} is no cell; write METHOD under ABLATION")
        option_text("method", option_in(method))
        option_text("ablation", option_in(ablation))
        return cls(method, ablation)

    def __str__(self) -> str:
        return f"{self.method}{UNDER}{self.ablation}"


@dataclass(frozen=True)
class Claim:
    """What one file of conf/claims/ says; the comments there explain each setting."""

    sentence: str
    paper: str
    where: str
    published: str
    kind: str
    quantity: str
    task: str
    claimed: str
    rivals: list[str]
    effect: Effect
    side: Side
    value: float
    models: list[str]
    seeds: list[int]
    rival_model: str | None
    overturned_by: str
    run: str
    minutes: float

    def __post_init__(self) -> None:
        """Check all that can be checked without a record."""
        self._check_cells()
        self._check_run()
        self._check_rule()

    @cached_property
    def cell(self) -> Tested:
        """The cell that is claimed about."""
        return Tested.of(self.claimed)

    @cached_property
    def others(self) -> list[Tested]:
        """Those that it is compared with."""
        return [Tested.of(words) for words in self.rivals]

    @cached_property
    def measures(self) -> Measures:
        """The report that measures it.

        Raises:
            UserError: the kind measures nothing.
        """
        settings = OmegaConf.create(option_text("method", option_in(self.cell.method)))
        report = report_of_kind(self.kind, str(settings["_target_"]))
        if not isinstance(report, Measures):
            raise UserError(
                f"kind={self.kind} measures nothing for method={self.cell.method}; a report "
                "that does has QUANTITIES and measure (benchmark/report/measured.py)"
            )
        return report

    @cached_property
    def measured(self) -> Quantity:
        """The quantity.

        Raises:
            UserError: the kind has none of that name.
        """
        known = self.measures.QUANTITIES
        if self.quantity not in known:
            raise UserError(
                f"quantity={self.quantity} is not one of {self.kind}{near(self.quantity, known)}; "
                f"allowed are: {', '.join(known)}"
            )
        return known[self.quantity]

    @property
    def trained_by_seed(self) -> bool:
        """Whether seeds are those of models, named as NAME_seed{seed}, and not of cells."""
        return any(SEED in model for model in self.models)

    def names_of(self, model: str) -> list[str]:
        """The models that a model's name stands for: itself, or one for each seed."""
        return list(dict.fromkeys(model.replace(SEED, str(seed)) for seed in self.seeds))

    @property
    def rule(self) -> str:
        """The rule in words."""
        number = f"{self.value:g}"
        if not self.rivals:
            return f"{self.side.value} {number}"
        return f"{self.effect.value} {self.side.value} {number}"

    def _check_cells(self) -> None:
        if self.cell in self.others and self.rival_model is None:
            raise UserError(
                f"rivals: {self.claimed} is compared with itself; give another cell, or rival_model"
            )
        option_text("task", option_in(self.task))
        every = [*self.models, *filter(None, [self.rival_model])]
        if len({SEED in model for model in every}) > 1:
            raise UserError(f"{SEED} must be in the name of each model, or of none: {every}")
        if self.rival_model in self.models:
            raise UserError(f"rival_model={self.rival_model} is one of models; give another")
        for model in [name for one in every for name in self.names_of(one)]:
            if zoo_directory(model) is None:
                option_text("model", model)
        if not self.models or not self.seeds:
            raise UserError("models and seeds may not be empty; give one of each, or more")

    def _check_run(self) -> None:
        first = self.run.split(" ")[0]
        if not first.startswith(EXPERIMENT):
            raise UserError(f"run={self.run!r} does not begin with {EXPERIMENT}NAME")
        option_text(EXPERIMENT.removesuffix("="), first.removeprefix(EXPERIMENT))
        if not self.minutes > 0:
            raise UserError(f"minutes={self.minutes:g} is no time; give a number above 0")

    def _check_rule(self) -> None:
        lowest, highest = self._range()
        could_hold = self.value > lowest if self.side is Side.below else self.value < highest
        could_fail = self.value <= highest if self.side is Side.below else self.value >= lowest
        if not (math.isfinite(self.value) and could_hold and could_fail):
            raise UserError(
                f"the rule {self.rule} can{'not be false' if could_hold else ' never hold'}: "
                f"{self.quantity} lies in [{lowest:g}, {highest:g}] here; give a value inside"
            )

    def _range(self) -> tuple[float, float]:
        """The least and the most that the effect can be."""
        quantity = self.measured
        lowest, highest = quantity.lowest, quantity.highest
        if not self.rivals:
            return lowest, highest
        if self.effect is Effect.difference:
            return lowest - highest, highest - lowest
        if lowest < 0:
            raise UserError(
                f"effect=ratio of {self.quantity}, which may be negative; give difference"
            )
        return 0.0, math.inf


def claims() -> dict[str, Claim]:
    """All claims by name, those of the user's own among them, cheapest first.

    Raises:
        UserError: a file cannot be used.
    """
    found = {name: claim(name) for name in configured_names(GROUP)}
    return dict(sorted(found.items(), key=lambda item: (item[1].minutes, item[0])))


def claim(name: str) -> Claim:
    """One of them.

    Raises:
        UserError: there is no such file, or it cannot be used.
    """
    option_text(GROUP, name)
    try:
        return configured(GROUP, name)
    except UserError as error:
        raise UserError(f"conf/{GROUP}/{name}.yaml: {error}") from error


def option_in(name: str) -> str:
    """The option that a name begins with; settings that were changed come after it."""
    return name.split(" ")[0]

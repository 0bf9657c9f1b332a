"""Causal tracing: which states bring a fact back when its subject is corrupted.

The subject's tokens are corrupted at their embedding, and in some layers a state, or what
attention or an MLP adds, is set to its value in the clean run. What that brings back of the
answer's probability says where the fact is recalled (Meng et al. 2022). Noise leaves a part of the
subject there, and adds what was never there; the constants that lose least do neither (optimal
ablation tracing; Li & Janson 2024, arXiv 2409.09951, section 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import pandas as pd

from benchmark.effects.tracing.trace import Restored
from benchmark.errors import UserError
from benchmark.meter import Meter, metering
from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch, concatenate
from methods.ranges import check_above_zero, check_counts, check_not_below_zero
from methods.tracing.corruption import NoiseSize, cannot_corrupt
from methods.tracing.grid import traced_grid
from methods.tracing.indirect_effects import LEAST_TAKEN
from methods.tracing.known_facts import known_facts
from methods.tracing.places import Group, Where
from methods.tracing.results import as_table, grid_rows, group_rows, prompt_rows
from methods.tracing.tracer import Settings, Tracer


class Sharing(Enum):
    """Which runs have a constant of their own under optimal ablation."""

    per_place = "per_place"
    shared = "shared"


@dataclass(frozen=True)
class CausalTracing:
    """Settings of the study; see conf/method/causal_tracing.yaml."""

    restored: list[Restored]
    windows: list[int]
    where: list[Where]
    severed: Restored | None
    grid: bool
    grid_window: int
    pictures: int
    draws: int
    noise: NoiseSize
    constants: Sharing
    paper_compat: bool
    gigabytes: float | None
    kind: ClassVar[str] = "tracing"
    uses: ClassVar[frozenset[str]] = frozenset({"n_test"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_counts(self, "draws", "grid_window")
        check_not_below_zero(self, "pictures")
        check_above_zero(self, "gigabytes")
        if self.severed is Restored.state:
            raise UserError("method.severed=state is not possible; give attention, mlp or null")
        for name in ("restored", "windows", "where"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise UserError(f"method.{name} needs one or more values, none of them twice")
        if min(self.windows) < 1:
            raise UserError(f"method.windows={self.windows} must be 1 or more")

    def unsupported(self, problem: Problem) -> str | None:
        """What ablations say nothing of subjects."""
        return cannot_corrupt(problem.ablation)

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Trace the held-out facts that the model knows.

        Raises:
            UserError: a prompt has no subject, no fact is known, or a window is too wide.
        """
        model, groups = problem.model, self.groups()
        self._check_windows(model.shape.n_layers, model.name)
        given = concatenate(list(held_out))
        with metering() as cost:
            test = known_facts(model, given)
            train = known_facts(model, concatenate(list(problem.batches)))
            tracer = Tracer(problem, train, groups, self._settings)
            clean, measured = tracer.measured(test)
            rows = list(group_rows(measured, clean, paper_compat=self.paper_compat))
            tensors = {f"probability/{group.name}": x.probability for group, x in measured.items()}
            if self.grid:
                grid = traced_grid(model, tracer, test, self.restored, self.grid_window)
                rows += grid_rows(test, grid)
                rows += prompt_rows(model.tokenizer, test, clean, grid, self.pictures)
                tensors |= {f"grid/{what.value}": x for (what, _), x in grid.restored.items()}
        tensors |= {f"constants/{group.name}": x for group, x in tracer.constants.items()}
        table = as_table(rows)
        summary = _summary(table, len(given), len(test))
        tensors["probability/clean"] = clean.probability
        return Findings(table, tensors, summary, cost, Meter(), _warnings(summary))

    def groups(self) -> list[Group]:
        """All groups of places."""
        return [
            Group(restored, width, where)
            for restored in self.restored
            for width in ([1] if restored is Restored.state else self.windows)
            for where in self.where
        ]

    @property
    def _settings(self) -> Settings:
        return Settings(
            severed=self.severed,
            draws=self.draws,
            noise=self.noise,
            shared=self.constants is Sharing.shared,
            leaks=self.paper_compat,
            gigabytes=self.gigabytes,
        )

    def _check_windows(self, n_layers: int, name: str) -> None:
        for setting, widths in (("windows", self.windows), ("grid_window", [self.grid_window])):
            if max(widths) > n_layers and (setting == "windows" or self.grid):
                raise UserError(
                    f"method.{setting}={getattr(self, setting)} is above the {n_layers} layers of "
                    f"{name}; give {n_layers} or fewer"
                )


def _summary(table: pd.DataFrame, n_facts: int, n_known: int) -> dict[str, float]:
    places = table[table["part"] == "layer"]
    counts = {"facts": float(n_facts), "known": float(n_known)}
    levels = places[["clean_probability", "corrupted_probability"]].mean().to_dict()
    return counts | levels | {"largest_effect": float(places["value"].max())}


def _warnings(summary: dict[str, float]) -> list[str]:
    n_facts, n_known = int(summary["facts"]), int(summary["known"])
    said = f"{n_facts - n_known} of {n_facts} facts are left out, as the model does not know them"
    warnings = [said] if n_known < n_facts else []
    if summary["clean_probability"] - summary["corrupted_probability"] <= LEAST_TAKEN:
        warnings.append(
            "corrupting subjects takes nothing of the answers' probability, so there is nothing "
            "that a layer could bring back"
        )
    return warnings

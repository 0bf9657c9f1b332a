"""Whether a lens reacts to changed states as the model does.

The states at the read position are changed before a layer; the model goes on from there, and the
lens reads the same changed states (Li & Janson 2024, arXiv 2409.09951, section 5). The study fits a
lens and does so at every layer, by several interventions; the loss of the lens stands beside.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pandas as pd

from benchmark.errors import UserError
from benchmark.meter import metering
from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch, concatenate
from methods.lens.fitted import FittedLens
from methods.lens.fitting.text import TextStates, parts_of
from methods.lens.judging.chosen import chosen_lens, digest_of_chosen
from methods.lens.judging.effects import MEASURES, EffectsAtLayer
from methods.lens.judging.interventions import (
    Changes,
    Intervention,
    jittered,
    moved,
    random_directions,
    size_for,
)
from methods.lens.judging.moments import Moments, moments_of_layers
from methods.lens.lens import ONE_ABLATION, judged_at, means_of
from methods.ranges import check_above_zero, check_counts

# Two points correlate by 1 or -1, whatever they are.
FEWEST = 3
Row = dict[str, float | str | int]


@dataclass(frozen=True)
class LensFaithfulness:
    """Settings of the study; see conf/method/lens_faithfulness.yaml."""

    lens: str
    steps: int | None
    interventions: list[Intervention]
    directions: int
    examples: int
    level: float
    levels: list[float]
    exchanged: int
    paper_compat: bool
    kind: ClassVar[str] = "lens_faithfulness"
    uses: ClassVar[frozenset[str]] = frozenset({"n_test"})
    version: ClassVar[int] = 4

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_counts(self, "steps", "directions", "examples", "exchanged")
        if min(self.directions, self.examples) < FEWEST:
            raise UserError(
                f"effects are correlated over {FEWEST} or more: give method.directions="
                f"{max(FEWEST, self.directions)} method.examples={max(FEWEST, self.examples)}"
            )
        check_above_zero(self, "level")
        if Intervention.local_perturbation in self.interventions and not self.levels:
            raise UserError("method.levels needs one or more values for local_perturbation")
        if min(self.levels, default=1.0) <= 0:
            raise UserError(f"method.levels={self.levels} must be above 0")

    def unsupported(self, problem: Problem) -> str | None:
        """One name for the ablation, so that nothing is measured twice."""
        return None if problem.ablation.traits.from_corrupted else ONE_ABLATION

    def data_digest(self) -> str | None:
        """A digest of the lens that is read from files, or None.

        Raises:
            UserError: one is no lens, or cannot be read.
        """
        return digest_of_chosen([self.lens])

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Fit the lens, and compare its effects with the model's at every layer."""
        with metering() as cost:
            lens = chosen_lens(self.lens, self.steps).fit(
                problem.model,
                problem.batches,
                seed=problem.seed,
                checkpoint=problem.checkpoint("lens"),
            )
        examples = concatenate(held_out).split(self.examples)[0].trimmed()
        with metering() as judging:
            judged = judged_at(lens, parts_of(problem.model, held_out))
            table = pd.DataFrame(self._rows(problem, lens, examples))
        at_level = table[table["intervention"] != Intervention.local_perturbation.value]
        means = (at_level if len(at_level) else table)[[*MEASURES]].mean()
        summary = {f"mean_{name}": float(value) for name, value in means.items()}
        summary |= means_of(judged) | {"n_parameters": float(lens.n_parameters)}
        return Findings(table, judged, summary, cost, judging)

    def _rows(self, problem: Problem, lens: FittedLens, examples: Batch) -> Iterator[Row]:
        of_layers = moments_of_layers(lens, TextStates(problem.model, problem.batches))
        for layer, moments in enumerate(of_layers):
            effects = EffectsAtLayer.of(lens, examples, layer)
            changes = self._changes(effects, moments, problem.seed)
            for intervention in self.interventions:
                local = intervention is Intervention.local_perturbation
                for level in self.levels if local else [self.level]:
                    some = self._as_large(changes, effects, level) if local else changes
                    states = some.made(intervention, effects.states)
                    found = effects.with_states(states, over_examples=local or len(states) == 1)
                    place = {"intervention": intervention.value, "layer": layer, "level": level}
                    yield {**place, "size": some.size, **found}

    def _changes(self, effects: EffectsAtLayer, moments: Moments, seed: int) -> Changes:
        """What the interventions are at a layer, as large as moves the model by the level."""
        spread, basis = moments.spread, moments.basis(self.paper_compat)
        drawn = random_directions(spread, self.directions, seed, effects.layer)

        def divergence(size: float) -> float:
            some = moved(effects.states, drawn[: self.examples], size, seed)
            return effects.mean_divergence(some)

        size = size_for(divergence, self.level, _layers_above(effects))
        return Changes(spread, drawn, basis, size, self.exchanged, seed, self.paper_compat)

    def _as_large(self, changes: Changes, effects: EffectsAtLayer, level: float) -> Changes:
        """Local perturbations as large as move the model by a level of their own."""
        rows, seed = min(self.examples, self.directions), changes.seed

        def divergence(size: float) -> float:
            return effects.mean_divergence(
                jittered(effects.states, changes.spread, size, rows, seed)
            )

        return replace(changes, size=size_for(divergence, level, _layers_above(effects)))


def _layers_above(effects: EffectsAtLayer) -> int:
    return effects.lens.model.shape.n_layers - 1 - effects.layer

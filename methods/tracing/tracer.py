"""Runs every group of places on a batch of facts, whatever corrupts the subjects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.ablations.contract import is_trained
from benchmark.effects.tracing.restoring import own_logits, restored_logits
from benchmark.effects.tracing.schedule import window
from benchmark.effects.tracing.subjects import first_positions, with_subjects
from benchmark.effects.tracing.trace import Restored, Trace, changed_trace, clean_trace
from benchmark.method.problem import Problem
from benchmark.prompts.batch import Batch
from methods.tracing.constants import ConstantTraining, Recipe
from methods.tracing.corruption import NoiseSize, fitted_corruption
from methods.tracing.measures import Measures
from methods.tracing.memory import bytes_to_use, facts_that_fit
from methods.tracing.places import Group

# Of a group: for each draw, every place and then the corrupted run.
OfGroup = Float[Tensor, "draws runs batch vocab"]


@dataclass(frozen=True)
class Settings:
    """What of the study's settings decides how runs are corrupted and restored.

    Attributes:
        severed: what keeps its corrupted values.
        draws: of noise or donors.
        noise: what the noise is a multiple of.
        shared: one constant for all runs of a group.
        leaks: the corrupted run is restored in its last layers, as in the authors' code.
        gigabytes: memory that a pass may take.
    """

    severed: Restored | None
    draws: int
    noise: NoiseSize
    shared: bool
    leaks: bool
    gigabytes: float | None


class Tracer:
    """Corrupts subjects as the cell's ablation says, and restores groups of places.

    Args:
        problem: the model, the ablation and where constants may be kept.
        train: facts of the train split that the model knows.
        groups: the groups of places; under optimal ablation each gets constants of its own.
        settings: how.
    """

    def __init__(
        self, problem: Problem, train: Batch, groups: Sequence[Group], settings: Settings
    ) -> None:
        self._model, self._settings, self._groups = problem.model, settings, groups
        self._n_layers, self._corruption = problem.model.shape.n_layers, None
        self.constants: dict[Group, Float[Tensor, "runs d_model"]] = {}
        if not is_trained(problem.ablation):
            self._corruption = fitted_corruption(
                problem.model, problem.ablation, train, settings.draws, settings.noise
            )
            return
        ablation = cast(Any, problem.ablation)
        recipe = Recipe(
            ablation.steps,
            ablation.learning_rate,
            ablation.batch_size,
            ablation.seed,
            settings.shared,
        )
        for group in groups:
            layers = (*group.layers(self._n_layers), self._leak(group))
            training = ConstantTraining(problem.model, train, group, layers, recipe)
            self.constants[group] = training.trained(problem.work_folder)

    @property
    def severed(self) -> Restored | None:
        """The outputs that keep their corrupted values."""
        return self._settings.severed

    def measured(self, facts: Batch) -> tuple[Measures, dict[Group, Measures]]:
        """Clean runs [facts], and of each group [draws, places and the corrupted run, facts]."""
        clean_parts: list[Measures] = []
        parts: dict[Group, list[Measures]] = {group: [] for group in self._groups}
        for batch, clean in self._traced(facts):
            unchanged = clean.logits(self._model, batch.read_at)[0]
            clean_parts.append(Measures.of(unchanged, batch, unchanged))
            corrupted = None
            if self._corruption is not None:
                corrupted = self._changed(
                    batch, clean, self._corruption.streams(self._model, batch)
                )
            for group in self._groups:
                logits = self._logits(group, batch, clean, corrupted)
                parts[group].append(Measures.of(logits, batch, unchanged))
        return Measures.joined(clean_parts), {
            group: Measures.joined(found) for group, found in parts.items()
        }

    def corrupted(self, facts: Batch) -> Iterator[tuple[Batch, Trace, Trace]]:
        """Batches with their clean and their corrupted runs, of one constant if it is trained.

        That is the constant of the fully corrupted run of the first group.
        """
        for batch, clean in self._traced(facts):
            if self._corruption is not None:
                streams = self._corruption.streams(self._model, batch)
            else:
                constant = self.constants[self._groups[0]][-1:]
                streams = with_subjects(self._model, batch, constant[:, None, None])
            yield batch, clean, self._changed(batch, clean, streams)

    def _traced(self, facts: Batch) -> Iterator[tuple[Batch, Trace]]:
        n_draws = 1 if self._corruption is None else self._corruption.n_draws
        most = bytes_to_use(self._model.device, self._settings.gigabytes)
        n_places = self._n_layers + 1
        at_once = facts_that_fit(self._model, facts.n_positions, n_draws, n_places, most)
        for part in facts.split(at_once):
            batch = part.trimmed()
            yield batch, clean_trace(self._model, batch)

    def _changed(self, batch: Batch, clean: Trace, streams: Tensor) -> Trace:
        return changed_trace(self._model, batch, clean, streams, first_positions(batch))

    def _logits(self, group: Group, batch: Batch, clean: Trace, corrupted: Trace | None) -> OfGroup:
        if corrupted is None and self._settings.shared:
            streams = with_subjects(self._model, batch, self.constants[group][-1:, None, None])
            corrupted = self._changed(batch, clean, streams)
        if corrupted is not None:
            return self._on_one_run(group, batch, clean, corrupted)
        streams = with_subjects(self._model, batch, self.constants[group][:, None, None])
        layers = (*group.layers(self._n_layers), self._leak(group))
        if self._settings.severed is not None:
            return self._one_by_one(group, batch, clean, streams, layers)
        asked, first = group.restoration(batch, layers), first_positions(batch)
        with torch.no_grad():
            return own_logits(self._model, batch, clean, streams, asked, first)[None]

    def _on_one_run(self, group: Group, batch: Batch, clean: Trace, corrupted: Trace) -> OfGroup:
        """All places on the same corrupted run."""
        leak = self._leak(group)
        layers = (*group.layers(self._n_layers), *([leak] if leak else []))
        asked = group.restoration(batch, layers, self._settings.severed)
        found = restored_logits(self._model, batch, clean, corrupted, asked)
        if not leak:
            whole = corrupted.logits(self._model, batch.read_at)[None]
            found = torch.cat([found, whole])
        return found.transpose(0, 1)

    def _one_by_one(
        self,
        group: Group,
        batch: Batch,
        clean: Trace,
        streams: Tensor,
        layers: tuple[frozenset[int], ...],
    ) -> OfGroup:
        """Each place on a corrupted run of its own, whose values severed outputs keep."""
        found = []
        for stream, chosen in zip(streams, layers, strict=True):
            own = self._changed(batch, clean, stream[None])
            logits = own.logits(self._model, batch.read_at)
            if chosen:
                asked = group.restoration(batch, (chosen,), self._settings.severed)
                logits = restored_logits(self._model, batch, clean, own, asked)[0]
            found.append(logits)
        return torch.cat(found)[None]

    def _leak(self, group: Group) -> frozenset[int]:
        """The layers in which the corrupted run is restored: none, unless as in the authors' code.

        There it is one more copy, whose window lies around the layer behind the last.
        """
        if not self._settings.leaks:
            return frozenset()
        return window(self._n_layers, group.width, self._n_layers)

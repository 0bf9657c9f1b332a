"""What training did to a model: loss, circuit size, sparsity; for models that ablate themselves.

After Ferrao et al. (2025, arXiv 2505.00509), whose measures are perplexity, edges that ACDC keeps,
latents of a sparse autoencoder and mean |w|. Beside them stand what the paper lacks: edges needed
for a fixed loss gap by three methods with intervals, sparsity without embeddings, and whether a
circuit found on some templates holds on others. One record is of one model; the report puts seeds
and ways of training side by side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.meter import Meter, metering
from benchmark.method.findings import Findings
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from benchmark.pretraining.self_ablation.stored import with_gates
from benchmark.prompts.batch import Batch
from benchmark.prompts.task import Split
from benchmark.statistics.sizes import edges_needed
from methods.ranges import check_above_zero, check_counts
from methods.training.autoencoder import OfOneMLP, autoencoder_measures
from methods.training.circuit_sizes import circuits_by, gaps_of
from methods.training.leakage import leakage, of_both_streams
from methods.training.sparsity import activation_measures, mean_sizes_of_weights

ROWS_PER_BATCH = 100


@dataclass(frozen=True)
class SelfAblation:
    """Settings of the study; see conf/method/self_ablation.yaml."""

    thresholds: list[float]
    levels: list[float]
    methods: list[str]
    prices: list[float]
    steps: int
    transfer: list[list[int]]
    text: str
    sources: list[str] | None
    length: int
    n_text: int
    expansion: int
    sae_price: float
    sae_steps: int
    kind: ClassVar[str] = "training"
    uses: ClassVar[frozenset[str]] = frozenset({"n_test", "attribution_metric"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_counts(self, "steps", "length", "n_text", "expansion", "sae_steps")
        check_above_zero(self, "sae_price")
        for name in ("thresholds", "levels", "methods", "prices"):
            if not getattr(self, name):
                raise UserError(f"method.{name}=[] is empty; give one or more")

    def unsupported(self, problem: Problem) -> str | None:
        """Circuits are of corrupted prompts, as in the paper."""
        from_corrupted = problem.ablation.traits.from_corrupted
        return None if from_corrupted else "circuits here need ablation=counterfactual"

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """Measure one model.

        Raises:
            UserError: a text, a task or a method cannot be used.
        """
        with metering() as cost:
            found = {name: self._circuits(problem, name) for name in self.methods}
            curves = pd.concat(_curves(problem, found, held_out), ignore_index=True)
            numbers = self._of_text(problem) | mean_sizes_of_weights(problem.model.hugging_face)
            numbers |= self._transfer(problem)
        rows = [*self._sizes(curves, problem.graph.n_edges), *_single(numbers)]
        table = pd.concat([curves, pd.DataFrame(rows)], ignore_index=True)
        summary = {row["measure"]: float(row["value"]) for row in rows}
        # Those of one method alone can be drawn and exported as a record's own.
        return Findings(table, {}, summary, cost, Meter(), circuits=found.get("acdc"))

    def _circuits(self, problem: Problem, method: str) -> FoundCircuits:
        """The circuits that a method finds."""
        changes: dict[str, dict[str, Any]] = {
            "acdc": {"thresholds": self.thresholds},
            "ugs": {"prices": self.prices, "steps": self.steps},
        }
        return circuits_by(problem, method, changes.get(method, {}))

    def _sizes(self, curves: pd.DataFrame, n_edges: int) -> Iterator[dict[str, Any]]:
        """What ACDC keeps at each threshold, and the edges that each level needs."""
        of_acdc = curves.query("by == 'acdc'")
        for setting, size in zip(of_acdc["setting"], of_acdc["size"], strict=True):
            yield {"measure": f"acdc {setting}", "value": size}
        for method, gaps in curves.groupby("by", sort=False):
            for level in self.levels:
                value, low, high = edges_needed(gaps, level, n_edges)
                ends = {"value_low": low, "value_high": high}
                yield {"measure": f"{method} edges at {level:g}", "value": value, **ends}

    def _of_text(self, problem: Problem) -> dict[str, float]:
        """Everything that is measured on running text."""
        hugging_face = problem.model.hugging_face
        train, test = (self._rows(problem, split) for split in (Split.train, Split.test))
        layer = max(0, problem.model.shape.n_layers - 2)
        numbers = activation_measures(problem.model, test)
        if hasattr(hugging_face, "transformer"):
            one = OfOneMLP(hugging_face, layer)
            numbers["perplexity"] = float(np.exp(one.loss(test, lambda x: x)))
            settings = self.expansion, self.sae_price, self.sae_steps, problem.seed
            numbers |= autoencoder_measures(one, train, test, *settings)
        gated = with_gates(Path(problem.model.source), hugging_face)
        if gated is not None:
            numbers |= of_both_streams(gated, test)
            with torch.enable_grad():
                numbers |= leakage(gated, train, test, problem.seed)
        return numbers

    def _rows(self, problem: Problem, split: Split) -> list[Batch]:
        changes: dict[str, Any] = {"length": self.length}
        if self.sources is not None:
            changes["sources"] = self.sources
        text = configured("task", self.text, **changes)
        batch = text.batch(problem.model.tokenizer, split, self.n_text, seed=problem.seed)
        return batch.in_parts(ROWS_PER_BATCH)

    def _transfer(self, problem: Problem) -> dict[str, float]:
        """Edges needed by circuits of some templates: on those templates, and on others."""
        if len(self.transfer) != 2:
            return {}
        n_prompts = sum(len(batch) for batch in problem.batches)

        def prompts(templates: list[int], split: Split) -> list[Batch]:
            task = configured("task", "ioi", templates=templates)
            batch = task.batch(problem.model.tokenizer, split, n_prompts, seed=problem.seed)
            return batch.in_parts(ROWS_PER_BATCH)

        own, other = self.transfer
        of_own = Problem.of(
            problem.model,
            prompts(own, Split.train),
            ablation=problem.ablation,
            metric=problem.metric,
            seed=problem.seed,
        )
        found = circuits_by(of_own, "eap_ig", {})
        n_edges, numbers = problem.graph.n_edges, {}
        for name, templates in (("own", own), ("other", other)):
            gaps = gaps_of(of_own, found, prompts(templates, Split.test))
            for level in self.levels:
                needed = edges_needed(gaps, level, n_edges)[0]
                numbers[f"{name} templates edges at {level:g}"] = float(needed)
        return numbers


def _curves(
    problem: Problem, found: dict[str, FoundCircuits], held_out: Sequence[Batch]
) -> Iterator[pd.DataFrame]:
    """The loss gap of every circuit that every method found."""
    for method, circuits in found.items():
        yield gaps_of(problem, circuits, held_out).assign(measure="curve", by=method)


def _single(numbers: dict[str, float]) -> list[dict[str, Any]]:
    return [{"measure": name, "value": value} for name, value in numbers.items()]

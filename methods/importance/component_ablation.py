"""Every component ablated alone: its loss gap (Li & Janson 2024, arXiv 2409.09951, section 2).

The loss gap Delta is the mean KL(full model || ablated model) at the read position, in nats. How
large it is depends on what the component carries instead; one record is one ablation, and the
report joins those of one task and model. Under optimal ablation all constants are trained side by
side, each by its own component's loss.

What lies before a component is the same however it is ablated, so the components of a layer share
one pass that starts at their layer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.ablations.contract import Replacement
from benchmark.ablations.fixed import Mean
from benchmark.config import configured
from benchmark.forward.memory import masks_that_fit
from benchmark.forward.passes import clean_logits, masked_logits, masked_prefix
from benchmark.forward.values import SourceValues
from benchmark.graph.graph import ComputationalGraph
from benchmark.meter import Meter, metering
from benchmark.method.findings import Findings
from benchmark.method.problem import Problem
from benchmark.metric import KLDivergence, Metric
from benchmark.prompts.batch import Batch
from benchmark.statistics.bootstrap import interval_of_means
from benchmark.transformer.transformer import Transformer
from methods.ranges import check_counts

Scores = dict[str, Float[Tensor, "components prompts"]]


@dataclass(frozen=True)
class ComponentAblation:
    """Settings of the study; see conf/method/component_ablation.yaml."""

    paper_compat: bool
    draws: int
    kind: ClassVar[str] = "components"
    uses: ClassVar[frozenset[str]] = frozenset({"n_test"})
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_counts(self, "draws")

    def unsupported(self, problem: Problem) -> str | None:
        """Every ablation will do."""
        return None

    def study(self, problem: Problem, held_out: Sequence[Batch]) -> Findings:
        """The loss gap of every component on the held-out prompts.

        Raises:
            UserError: the ablation cannot be fitted, or has no donors.
        """
        metrics = {
            "loss_gap": KLDivergence(),
            "logit_difference": configured("metric", "logit_difference"),
        }
        model, draws = problem.model, range(self._draws(problem))
        with metering() as cost:
            replacement = self._replacement(problem)
            parts = [
                _mean([_scores(model, batch, replacement(batch, draw), metrics) for draw in draws])
                for batch in held_out
            ]
        scores = {name: torch.cat([part[name] for part in parts], 1) for name in metrics}
        table = _table(problem.graph, scores)
        # Statistics are over heads and MLPs, the components of the paper.
        gaps = table["loss_gap"].to_numpy()[1:]
        return Findings(
            table=table,
            tensors={"loss_gap": scores["loss_gap"]},
            summary={
                "mean_loss_gap": float(gaps.mean()),
                "median_loss_gap": float(np.median(gaps)),
            },
            cost=cost,
            judging=Meter(),
        )

    def _draws(self, problem: Problem) -> int:
        return self.draws if problem.ablation.traits.random else 1

    def _replacement(self, problem: Problem) -> Replacement:
        fitted = problem.replacement
        if not (self.paper_compat and isinstance(problem.ablation, Mean)):
            return fitted
        return lambda batch, draw=0: mlps_shifted(fitted(batch, draw))


def mlps_shifted(values: SourceValues) -> SourceValues:
    """Each MLP with the value of the MLP before it, and the first with the input's.

    The authors' code looks up the mean of MLP k in a list that begins with the input's.
    """
    return replace(values, mlps=torch.cat([values.input[None], values.mlps[:-1]]))


def components(graph: ComputationalGraph) -> pd.DataFrame:
    """The sources in order: component, kind (input, head or mlp) and layer (none of the input)."""
    kinds = {"i": "input", "a": "head", "m": "mlp"}
    layers = [name[1:].split(".")[0] for name in graph.sources[1:]]
    return pd.DataFrame(
        {
            "component": graph.sources,
            "kind": [kinds[name[0]] for name in graph.sources],
            "layer": pd.array([None, *map(int, layers)], dtype="Int64"),
        }
    )


@torch.no_grad()
def _scores(
    model: Transformer, batch: Batch, values: SourceValues, metrics: dict[str, Metric]
) -> Scores:
    """Every metric with each component ablated alone."""
    clean = clean_logits(model, batch.clean, batch.read_at)
    found: dict[str, list[Tensor]] = {name: [] for name in metrics}
    for logits in _ablated_logits(model, batch, values):
        for name, metric in metrics.items():
            found[name].append(metric(logits, batch, clean).cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


def _ablated_logits(
    model: Transformer, batch: Batch, values: SourceValues
) -> Iterator[Float[Tensor, "some_components batch vocab"]]:
    """Logits with one component ablated in each row, in the order of the sources."""
    graph = model.graph
    n_at_once = masks_that_fit(model, len(batch), batch.n_positions, with_gradient=False)
    alone = (1 - torch.eye(graph.n_sources, device=model.device))[..., None]
    prefix = masked_prefix(model, torch.ones_like(alone[0]), batch, values)
    first = [0, *(graph.head_source(layer) for layer in range(1, graph.n_layers)), graph.n_sources]
    for layer, rows in enumerate(alone.split([b - a for a, b in pairwise(first)])):
        start = {"start_layer": layer, "prefix": prefix} if layer else {}
        for some in rows.split(n_at_once):
            yield masked_logits(model, some, batch, values, **start)


def _mean(draws: Sequence[Scores]) -> Scores:
    return {name: torch.stack([draw[name] for draw in draws]).mean(0) for name in draws[0]}


def _table(graph: ComputationalGraph, scores: Scores) -> pd.DataFrame:
    """A row for each component, with means over prompts and the interval of the loss gap."""
    low, high = interval_of_means(scores["loss_gap"].numpy())
    means = {name: values.mean(1).numpy() for name, values in scores.items()}
    gap = means.pop("loss_gap")
    return components(graph).assign(loss_gap=gap, loss_gap_low=low, loss_gap_high=high, **means)

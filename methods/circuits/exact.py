"""Exact activation patching: every edge, or every node, ablated by itself.

The yardstick of attribution ("EActP" in the MIB circuit track, Mueller et al. 2025, arXiv
2504.13151). It costs a part of a forward pass for each edge and prompt; see exact_effects.py.
"""

from dataclasses import dataclass

import torch

from benchmark.effects.edges.exact import exact_edge_effects, exact_source_effects
from benchmark.effects.edges.first_order import CleanRun, Effects
from benchmark.errors import UserError
from benchmark.method.problem import Problem
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from methods.circuits.scoring.attribution import Attribution
from methods.circuits.scoring.selection import Granularity
from methods.requirements import without_donors


@dataclass(frozen=True)
class Exact(Attribution):
    """Settings of exact patching; see conf/method/exact.yaml."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if self.granularity is Granularity.neuron:
            raise UserError(
                "method.granularity=neuron would take a pass for each neuron; give "
                "granularity=edge or component, or another method"
            )

    def unsupported(self, problem: Problem) -> str | None:
        """Any metric will do; donors come from the same batch."""
        return without_donors(problem, self.batch_size)

    def effects(self, problem: Problem, batch: Batch, objective: Objective) -> Effects:
        """Effects of what is asked for; not a number for the rest."""
        clean = CleanRun.of(problem.model, batch, problem.replacement(batch))
        unknown = clean.logits.new_full(problem.graph.exists.shape, torch.nan)
        if self.granularity is Granularity.component:
            return Effects(unknown, exact_source_effects(problem.model, clean, objective)[:, None])
        return Effects(exact_edge_effects(problem.model, clean, objective), unknown[:, :1])

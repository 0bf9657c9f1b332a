"""How many edges a circuit needs: by several methods, at thresholds and at fixed loss gaps."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.evaluation.circuits import HeldOut, circuit_scores
from benchmark.method.circuits import CircuitMethod, FoundCircuit
from benchmark.method.found import FoundCircuits
from benchmark.method.problem import Problem
from benchmark.metric import KLDivergence
from benchmark.prompts.batch import Batch
from benchmark.statistics.bootstrap import interval_of_means

# Sizes that methods which rank edges are asked for: each larger by about this factor.
STEP = 1.3


def sizes_up_to(n_edges: int) -> list[int]:
    """Sizes from 1 to all edges, about evenly apart on a log axis."""
    sizes, size = [], 1.0
    while size < n_edges:
        sizes.append(round(size))
        size = max(size + 1, size * STEP)
    return [*sizes, n_edges]


def circuits_by(problem: Problem, method: str, changes: dict[str, Any]) -> FoundCircuits:
    """The circuits that a method finds, at its own settings but for some."""
    discovering = configured("method", method, **changes)
    if not isinstance(discovering, CircuitMethod):
        raise UserError(
            f"method.methods has {method!r}, which finds no circuits; give one that does"
        )
    return FoundCircuits.of(discovering.discover(problem, sizes_up_to(problem.graph.n_edges)))


def gaps_of(
    problem: Problem, circuits: Sequence[FoundCircuit], held_out: Sequence[Batch]
) -> pd.DataFrame:
    """A row for each circuit: setting, size, and the loss gap with its interval over prompts."""
    asked = HeldOut(problem.batches, held_out, {"loss_gap": KLDivergence()})
    masks = [found.mask for found in circuits]
    gaps = circuit_scores(problem.model, masks, problem.ablation, asked).circuits["loss_gap"]
    low, high = interval_of_means(gaps.numpy())
    return pd.DataFrame(
        {
            "setting": [found.setting for found in circuits],
            "size": [found.size for found in circuits],
            "loss_gap": gaps.double().mean(1).numpy(),
            "loss_gap_low": low,
            "loss_gap_high": high,
        }
    )

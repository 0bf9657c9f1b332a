"""What attribution methods share: scores to circuits of the sizes asked for."""

from collections.abc import Sequence
from enum import Enum

from benchmark.mask import EdgeScores
from benchmark.method import FoundCircuit


class Selection(Enum):
    """How scores become circuits.

    `top`: the best edges, wherever they are. `greedy`: grown backwards from the logits, so that
    every edge reaches them (Hanna et al. 2024, arXiv 2403.17806).
    """

    top = "top"
    greedy = "greedy"


def circuits_of_sizes(
    scores: EdgeScores, sizes: Sequence[int], selection: Selection, absolute: bool
) -> list[FoundCircuit]:
    """The circuit of each size, by the scores or by their absolute values."""
    ranked = scores.absolute() if absolute else scores
    choose = ranked.top if selection is Selection.top else ranked.greedy
    return [FoundCircuit(choose(size), f"edges={size}", size) for size in sizes]

"""How much two circuits agree."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from benchmark.errors import UserError
from benchmark.graph.mask import EdgeMask


@dataclass(frozen=True)
class Overlap:
    """Agreement of a found set with a reference set, each ratio in [0, 1].

    Where a denominator is empty, nothing can have gone wrong: the first three are then 1 and
    the last is 0.

    Attributes:
        jaccard: shared members over members of either.
        precision: share of the found that are in the reference.
        recall: share of the reference that was found (true-positive rate).
        false_positive_rate: share of what is not in the reference that was found.
    """

    jaccard: float
    precision: float
    recall: float
    false_positive_rate: float


def edge_overlap(found: EdgeMask, reference: EdgeMask) -> Overlap:
    """Agreement of two circuits in their kept edges.

    Raises:
        UserError: they belong to different graphs.
    """
    _check_same_graph(found, reference)
    exists = found.graph.exists
    return _overlap((found.keep.cpu() > 0)[exists], (reference.keep.cpu() > 0)[exists])


def component_overlap(found: EdgeMask, reference: EdgeMask) -> Overlap:
    """Agreement of two circuits in the sources that have a kept out-edge.

    Raises:
        UserError: they belong to different graphs.
    """
    _check_same_graph(found, reference)
    return _overlap((found.keep.cpu() > 0).any(1), (reference.keep.cpu() > 0).any(1))


def _check_same_graph(found: EdgeMask, reference: EdgeMask) -> None:
    if found.graph != reference.graph:
        raise UserError("circuits of different graphs cannot be compared")


def _overlap(found: Bool[Tensor, " n"], reference: Bool[Tensor, " n"]) -> Overlap:
    both = int((found & reference).sum())
    n_found, n_reference = int(found.sum()), int(reference.sum())
    n_outside = len(found) - n_reference
    return Overlap(
        jaccard=_share(both, n_found + n_reference - both),
        precision=_share(both, n_found),
        recall=_share(both, n_reference),
        false_positive_rate=(n_found - both) / n_outside if n_outside else 0.0,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0

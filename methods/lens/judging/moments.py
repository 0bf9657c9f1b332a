"""How states spread over a text, and which directions of theirs move a lens: sums over its parts.

Only sums and outer products are kept, so a text of any length takes the same memory.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from methods.lens.fitted import FittedLens
from methods.lens.fitting.text import TextStates

# Added to the diagonal of the covariance, as the authors do.
RIDGE = 3e-4
# Whitened states have directions of spread 1, and of 0 where the text has too few places.
SMALLEST_SPREAD = 1e-6
Directions = Float[Tensor, "directions d_model"]
Rows = Float[Tensor, "places d_model"]


@dataclass(frozen=True, eq=False)
class Spread:
    """How the states before a layer spread over a text.

    Attributes:
        mean: their mean.
        root: a square root A of their covariance, lower triangular.
    """

    mean: Float[Tensor, " d_model"]
    root: Float[Tensor, "d_model d_model"]


class Moments:
    """Of the states before a layer and of what a lens takes for the final ones, in float64."""

    def __init__(self) -> None:
        """Before anything is added."""
        self._n = 0

    def add(self, states: Rows, finals: Rows) -> None:
        """Some more states, one or more, and what the lens takes for the final ones given these."""
        pair = torch.cat([states, finals], 1).double()
        if not self._n:
            # Counted from the first mean, so that squares of means do not swallow the spread.
            self._first, self._dtype = pair.mean(0), states.dtype
            width = pair.shape[1]
            self._total, self._products = pair.new_zeros(width), pair.new_zeros(width, width)
        moved = pair - self._first
        self._total += moved.sum(0)
        self._products += moved.T @ moved
        self._n += len(pair)

    @property
    def spread(self) -> Spread:
        """Of the states."""
        width = len(self._first) // 2
        mean = (self._first + self._total / self._n)[:width]
        return Spread(mean.to(self._dtype), self._root.to(self._dtype))

    @property
    def _covariance(self) -> Tensor:
        """Of the states, each with all numbers of the pair."""
        mean = self._total / self._n
        return (self._products / self._n - torch.outer(mean, mean))[: len(mean) // 2]

    @property
    def _root(self) -> Tensor:
        covariance = self._covariance
        width = len(covariance)
        ridge = RIDGE * torch.eye(width, dtype=covariance.dtype, device=covariance.device)
        return torch.linalg.cholesky(covariance[:, :width] + ridge)

    def basis(self, paper_compat: bool = False) -> Directions:
        """A v for the right singular vectors v of W A, first those that move the lens most.

        W is the map from states to what the lens takes for the final ones that fits best.

        Args:
            paper_compat: as in the authors' code, the columns of V' and not A times its rows, which
                are orthonormal directions that have little to do with the lens.
        """
        root = self._root
        white = torch.linalg.solve_triangular(root, self._covariance, upper=False)
        of_states, with_finals = white.chunk(2, 1)
        of_states = torch.linalg.solve_triangular(root, of_states.T, upper=False)
        inverse = torch.linalg.pinv(of_states, rtol=SMALLEST_SPREAD, hermitian=True)
        # W A, by least squares on whitened states.
        rows = torch.linalg.svd((inverse @ with_finals).T, full_matrices=True).Vh
        return (rows.T if paper_compat else rows @ root.T).to(self._dtype)


@torch.no_grad()
def moments_of_layers(lens: FittedLens, text: TextStates) -> list[Moments]:
    """Of the states before every layer, from one reading of the text."""
    found = [Moments() for _ in range(lens.model.shape.n_layers)]
    for part in text.parts():
        finals = lens.finals(part.before[:-1])
        for moments, states, of_lens in zip(found, part.before[:-1], finals, strict=True):
            moments.add(states, of_lens)
    return found

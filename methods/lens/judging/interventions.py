"""Interventions on the states before a layer, by which a lens is compared with its model.

After Li & Janson (2024, arXiv 2409.09951, section 5): states are moved along random directions or
those of a basis, their components along them are removed, components in the span of the first
directions are exchanged between examples, or states move in all directions at once. Directions live
in the states' own covariance C = A A': a random one is A x for standard normal x, and the basis is
A v for the right singular vectors v of W A, where W is the linear map from states to the lens's
final states that fits best.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.seeds import generator
from methods.lens.judging.moments import Directions, Spread

Moved = Float[Tensor, "rows examples d_model"]


class Intervention(Enum):
    """What is done to the states of some examples."""

    random_perturbation = "random_perturbation"
    random_projection = "random_projection"
    basis_perturbation = "basis_perturbation"
    basis_projection = "basis_projection"
    resample = "resample"
    local_perturbation = "local_perturbation"


def random_directions(spread: Spread, number: int, seed: int, layer: int) -> Directions:
    """A x for standard normal x."""
    draw = generator(seed, "directions of a lens", layer)
    x = torch.randn(number, len(spread.mean), generator=draw, dtype=torch.float64)
    return x.to(spread.root) @ spread.root.T


def moved(
    states: Float[Tensor, "examples d_model"],
    directions: Directions,
    size: float,
    seed: int,
    paper_compat: bool = False,
) -> Moved:
    """Each row moves every example along a direction, by a standard normal number of its own.

    With `paper_compat` all examples of a row move by the same number.
    """
    draw = generator(seed, "steps of a lens", len(directions), len(states))
    steps = torch.randn(len(directions), len(states), 1, generator=draw, dtype=torch.float64)
    steps = steps[:, :1] if paper_compat else steps
    return states + size * steps.to(states) * directions[:, None]


def jittered(
    states: Float[Tensor, "examples d_model"], spread: Spread, size: float, rows: int, seed: int
) -> Moved:
    """Each row moves every example by `size` A x, for a standard normal x of its own."""
    draw = generator(seed, "jitter of a lens", rows, len(states))
    x = torch.randn(rows, *states.shape, generator=draw, dtype=torch.float64)
    return states + size * x.to(states) @ spread.root.T


def projected(
    states: Float[Tensor, "examples d_model"],
    directions: Directions,
    spread: Spread,
    paper_compat: bool = False,
) -> Moved:
    """Each row takes from every example its component along a direction, counted from the mean.

    With `paper_compat` every example loses the sum of the components of all of them.
    """
    unit = directions / directions.norm(dim=-1, keepdim=True)
    along = (states - spread.mean) @ unit.T
    along = along.sum(0).expand_as(along) if paper_compat else along
    return states - along.T[..., None] * unit[:, None]


def exchanged(
    states: Float[Tensor, "examples d_model"], directions: Directions, number: int
) -> Moved:
    """Every example gets the components of the next one in the span of the first directions."""
    basis = torch.linalg.qr(directions[:number].T).Q
    difference = states.roll(-1, 0) - states
    return (states + difference @ basis @ basis.T)[None]


def size_for(divergence: Callable[[float], float], level: float, layers_above: int) -> float:
    """The largest of 50 sizes whose perturbation moves the model by less than `level` nats.

    Sizes are spaced evenly in their logarithm, from 10^-1.5 to 10^0.2, and grow by a twentieth for
    every layer above (spec of the authors' code); the smallest, if none moves it so little.
    """
    exponents = torch.linspace(-1.5, 0.2, 50, dtype=torch.float64)
    sizes = (10**exponents * 1.05**layers_above).tolist()
    low, high = 0, len(sizes)
    # The divergence grows with the size, so half of the sizes are left out at a time.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if divergence(sizes[middle]) < level else (low, middle)
    return sizes[low]


@dataclass(frozen=True, eq=False)
class Changes:
    """What the interventions are before one layer.

    Attributes:
        spread: of the states there.
        drawn: random directions.
        basis: directions of the basis, of which as many are taken.
        size: of perturbations, in units of a direction.
        exchanged: directions of the basis whose span is exchanged.
        seed: of the perturbations.
        paper_compat: one number, or sum, for all examples, as in the authors' code.
    """

    spread: Spread
    drawn: Float[Tensor, "n_drawn d_model"]
    basis: Float[Tensor, "n_basis d_model"]
    size: float
    exchanged: int
    seed: int
    paper_compat: bool

    def made(
        self, intervention: Intervention, states: Float[Tensor, "examples d_model"]
    ) -> Float[Tensor, "rows examples d_model"]:
        """The changed states: a row for each direction, or one of all examples for `resample`."""
        basis, compat = self.basis[: len(self.drawn)], self.paper_compat
        match intervention:
            case Intervention.random_perturbation:
                return moved(states, self.drawn, self.size, self.seed, compat)
            case Intervention.random_projection:
                return projected(states, self.drawn, self.spread, compat)
            case Intervention.basis_perturbation:
                return moved(states, basis, self.size, self.seed, compat)
            case Intervention.basis_projection:
                return projected(states, basis, self.spread, compat)
            case Intervention.resample:
                return exchanged(states, self.basis, self.exchanged)
            case Intervention.local_perturbation:
                return jittered(states, self.spread, self.size, len(self.drawn), self.seed)

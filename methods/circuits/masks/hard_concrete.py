"""The hard-concrete distribution: numbers in [0, 1] that are often exactly 0 or 1.

A logistic draw around `log_alpha` goes through a sigmoid, is stretched a little beyond [0, 1] and
clipped to it (Louizos, Welling & Kingma 2018, arXiv 1712.01312). The draw is differentiable in
`log_alpha`, and the probability of a value other than 0, which size is paid by, has a closed form.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
# How much flatter than without noise deterministic values are (Bhaskar et al. 2024, their code).
FLATTER = 0.8


def gates(
    noise: Float[Tensor, "*noise"],
    log_alpha: Float[Tensor, "*gates"],
    temperature: Float[Tensor, "*gates"] | float = TEMPERATURE,
    low: float = LOW,
) -> Float[Tensor, "..."]:
    """Draws from logistic noise; `low` is where the stretched interval of length 1.2 begins."""
    return (((noise + log_alpha) / temperature).sigmoid() * (HIGH - LOW) + low).clamp(0, 1)


def probability_nonzero(
    log_alpha: Float[Tensor, "*gates"], temperature: Float[Tensor, "*gates"] | float = TEMPERATURE
) -> Float[Tensor, "*gates"]:
    """The probability that a draw is not 0."""
    return (log_alpha - temperature * math.log(-LOW / HIGH)).sigmoid()


def log_alpha_of(middle: float) -> float:
    """The `log_alpha` whose median draw, at temperature 1, is `middle`."""
    share = (middle - LOW) / (HIGH - LOW)
    return math.log(share / (1 - share))


def deterministic(log_alpha: Float[Tensor, " gates"]) -> Float[Tensor, " gates"]:
    """Values without noise, the smallest set to 0: as many as are expected to be 0."""
    n_zeros = round(float((1 - probability_nonzero(log_alpha)).sum()))
    values = (log_alpha / TEMPERATURE * FLATTER).sigmoid()
    return values.index_fill(0, log_alpha.argsort(stable=True)[:n_zeros], 0.0)


def discrete(log_alpha: Float[Tensor, " gates"]) -> Bool[Tensor, " gates"]:
    """The best gates, as many as the deterministic values sum to.

    It is the threshold at which the share of gates that are off is one less the mean value.
    """
    n_kept = round(float(deterministic(log_alpha).sum()))
    best = log_alpha.argsort(descending=True, stable=True)[:n_kept]
    return torch.zeros_like(log_alpha, dtype=torch.bool).index_fill(0, best, True)

"""How much of a fact a restored place brings back, how sure that is, and how sharply it is placed.

The average indirect effect of a place is 1 - mean(n) / mean(d) over facts, where n = max(0, p_clean
- p_restored) is what of the answer's probability is still missing, and d = p_clean - p_corrupted
what the corruption takes (Li & Janson 2024, section 4). Draws are averaged for each fact.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from benchmark.seeds import derived_seed
from benchmark.statistics.bootstrap import INTERVAL, N_RESAMPLES

# Of a normal distribution, for a 95 % interval.
STANDARD_ERRORS = 1.959964
# Of the answer's probability; less is rounding, of which nothing can be brought back.
LEAST_TAKEN = 1e-6


@dataclass(frozen=True, eq=False)
class Lost:
    """What probability is missing, of the restored and of the corrupted runs.

    Attributes:
        restored: n of each place.
        corrupted: d, the same for all places.
    """

    restored: Float[np.ndarray, "draws places facts"]
    corrupted: Float[np.ndarray, "draws facts"]

    @classmethod
    def of(
        cls,
        clean: Float[np.ndarray, " facts"],
        restored: Float[np.ndarray, "draws places facts"],
        corrupted: Float[np.ndarray, "draws facts"],
    ) -> "Lost":
        """From the probabilities of the clean run's answers."""
        return cls(np.maximum(0, clean - restored), clean - corrupted)

    def effects(self) -> Float[np.ndarray, " places"]:
        """The average indirect effect of each place; not a number where corruption takes none."""
        return 1 - _ratio(self.restored.mean((0, 2)), self.corrupted.mean())

    def delta_interval(
        self,
    ) -> tuple[Float[np.ndarray, " places"], Float[np.ndarray, " places"]]:
        """95 % intervals of the effects over facts by the delta method for a ratio of means."""
        n, d = self.restored.mean(0), self.corrupted.mean(0)
        ratio = _ratio(n.mean(1), d.mean())
        # Var(n/d) = [Var n - 2 r Cov(n, d) + r^2 Var d] / mean(d)^2, which n = 0 leaves defined.
        residual = n - ratio[:, None] * d
        error = _ratio(residual.std(1, ddof=1) / np.sqrt(n.shape[1]), abs(d.mean()))
        middle = 1 - ratio
        return middle - STANDARD_ERRORS * error, middle + STANDARD_ERRORS * error

    def resampled(self) -> Float[np.ndarray, "resamples places"]:
        """Effects of resampled facts, each with its draws, whose scatter is so in the interval.

        To resample the draws of a resampled fact as well would count their scatter twice.
        """
        n, d = self.restored.mean(0), self.corrupted.mean(0)
        random = np.random.default_rng(derived_seed(0, "bootstrap over facts", len(d)))
        counts = random.multinomial(len(d), np.full(len(d), 1 / len(d)), N_RESAMPLES)
        return 1 - _ratio(counts @ n.T, (counts @ d)[:, None])


def interval(
    resampled: Float[np.ndarray, "resamples values"],
) -> tuple[Float[np.ndarray, " values"], Float[np.ndarray, " values"]]:
    """The ends of the 95 % percentile interval of each value; not numbers where none is known."""
    ends = np.full((2, resampled.shape[1]), np.nan)
    known = ~np.isnan(resampled).all(0)
    if known.any():
        ends[:, known] = np.nanpercentile(resampled[:, known], INTERVAL, axis=0)
    return ends[0], ends[1]


def largest_effect(effects: Float[np.ndarray, "rows places"]) -> Float[np.ndarray, " rows"]:
    """The effect of the layer that brings back most."""
    return effects.max(-1)


def top_share(effects: Float[np.ndarray, "rows places"]) -> Float[np.ndarray, " rows"]:
    """The share of the top layer in the sum of all layers' effects, those below 0 left out."""
    return _shares(effects).max(-1)


def effective_layers(effects: Float[np.ndarray, "rows places"]) -> Float[np.ndarray, " rows"]:
    """The exponential of the entropy of the shares: 1 if one layer does all, L if all do alike."""
    shares = _shares(effects)
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return np.exp(-(shares * logs).sum(-1))


def neighbour_difference(effects: Float[np.ndarray, "rows places"]) -> Float[np.ndarray, " rows"]:
    """The mean distance between the effects of neighbouring layers."""
    return np.abs(np.diff(effects, axis=-1)).sum(-1) / max(1, effects.shape[-1] - 1)


SHARPNESS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "largest_effect": largest_effect,
    "top_share": top_share,
    "effective_layers": effective_layers,
    "neighbour_difference": neighbour_difference,
}


def _shares(effects: np.ndarray) -> np.ndarray:
    above = np.maximum(effects, 0)
    total = above.sum(-1, keepdims=True)
    even = np.where(np.isnan(total), np.nan, np.full_like(above, 1 / above.shape[-1]))
    return np.divide(above, total, out=even, where=total > 0)


def _ratio(above: np.ndarray, below: np.ndarray | float) -> np.ndarray:
    """Not a number where nothing is lost to be brought back."""
    below = np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > LEAST_TAKEN)

"""The effect that a claim is about, with its 95 % interval, from quantities of records by seed.

Two methods are compared seed by seed, on the same prompts. Of several seeds the interval is
Student's of their mean, which holds what seeds and prompts change. Of one seed it is over prompts:
from paired resamples where records have them, else from the ends of both intervals, which is wider.
"""

from collections.abc import Callable, Mapping

import numpy as np

from benchmark.report.claims.claim import Effect
from benchmark.report.measured import Measured
from benchmark.statistics.student import half_interval

BySeed = Mapping[int, Measured]


def effect_of(own: BySeed, rival: BySeed | None, effect: Effect) -> Measured:
    """The effect over all seeds.

    Args:
        own: of the cell that is claimed about, by seed.
        rival: of the one that it is compared with, of the same seeds, if with any.
        effect: how they are compared.
    """
    each = [
        own[seed] if rival is None else compared(own[seed], rival[seed], effect) for seed in own
    ]
    if len(each) == 1:
        return each[0]
    logs = rival is not None and effect is Effect.ratio
    return over_seeds([one.value for one in each], logs=logs)


def compared(own: Measured, rival: Measured, effect: Effect) -> Measured:
    """One seed's difference or ratio."""
    apart: Callable = np.subtract if effect is Effect.difference else np.divide
    value = float(apart(own.value, rival.value))
    if own.draws is not None and rival.draws is not None:
        return Measured.resampled(value, apart(own.draws, rival.draws))
    return Measured(value, float(apart(own.low, rival.high)), float(apart(own.high, rival.low)))


def over_seeds(values: list[float], *, logs: bool) -> Measured:
    """The mean of two or more seeds (of ratios the geometric one) with Student's interval."""
    numbers = np.log(values) if logs else np.array(values)
    half = half_interval(numbers)
    ends = np.array([numbers.mean(), numbers.mean() - half, numbers.mean() + half])
    value, low, high = (np.exp(ends) if logs else ends).tolist()
    return Measured(value, low, high)

"""How sure a mean over seeds is: Student's interval."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

# Share of the distribution below the upper end of a 95 % interval.
UPPER = 0.975


def half_interval(values: NDArray[np.float64]) -> float:
    """Half of the 95 % interval of the mean of two or more values."""
    n = len(values)
    # scipy.stats has the same quantile, and takes most of a second to import.
    return float(stdtrit(n - 1, UPPER) * values.std(ddof=1) / np.sqrt(n))

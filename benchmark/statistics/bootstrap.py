"""How sure a mean over prompts is: the bootstrap, with the same resamples for every row.

One set of resampled prompts serves all rows, so that rows can be compared, and is drawn from the
number of prompts alone, so that tables come out the same wherever they are made.
"""

import numpy as np
from jaxtyping import Float

from benchmark.seeds import derived_seed

N_RESAMPLES, INTERVAL = 1000, (2.5, 97.5)


def interval_of_means(
    values: Float[np.ndarray, "rows prompts"],
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """The lower and the upper end of the 95 % bootstrap interval of each row's mean."""
    low, high = np.percentile(resampled_means(values), INTERVAL, axis=1)
    return low, high


def resampled_means(
    values: Float[np.ndarray, "rows prompts"],
) -> Float[np.ndarray, "rows draws"]:
    """Each row's mean over resampled prompts, in float64; draw by draw all rows have the same."""
    n_prompts = values.shape[1]
    random = np.random.default_rng(derived_seed(0, "bootstrap over prompts", n_prompts))
    counts = random.multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), N_RESAMPLES)
    return values.astype(np.float64) @ counts.T / n_prompts

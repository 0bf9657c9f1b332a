import numpy as np
import pytest
from scipy import stats

from benchmark.statistics.student import half_interval


@pytest.mark.parametrize("n", [2, 3, 30])
def test_the_interval_is_scipys(n):
    values = np.random.default_rng(n).normal(size=n)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert half_interval(values) == pytest.approx((high - low) / 2, rel=1e-12)

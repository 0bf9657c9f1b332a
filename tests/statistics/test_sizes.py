"""Draws of one size count as one circuit."""

import pandas as pd

from benchmark.statistics.sizes import averaged_draws


def test_draws_of_one_size_count_as_one_circuit():
    rows = pd.DataFrame(
        {
            "requested_size": pd.array([10, 10, None], dtype="Int64"),
            "size": [9, 10, 5],
            "loss_gap": [1.0, 3.0, 4.0],
            "loss_gap_low": [0.0, 2.0, 3.0],
            "loss_gap_high": [2.0, 4.0, 5.0],
        }
    )
    found = averaged_draws(rows).sort_values("size")
    assert found["size"].tolist() == [5, 9.5]
    assert found["loss_gap"].tolist() == [4.0, 2.0]

"""Draws of one size count as one circuit; the edges that a loss gap needs."""

import pandas as pd

from benchmark.statistics.sizes import averaged_draws, edges_needed


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


def test_edges_needed_are_the_least_with_so_small_a_gap():
    gaps = pd.DataFrame(
        {
            "size": [5, 10, 20, 40],
            "loss_gap": [0.9, 0.2, 0.08, 0.01],
            "loss_gap_low": [0.8, 0.09, 0.05, 0.0],
            "loss_gap_high": [1.0, 0.4, 0.12, 0.02],
        }
    )
    arrays = {name: gaps[name].to_numpy(float) for name in gaps}
    for given in (gaps, arrays):
        assert edges_needed(given, 0.1, 60) == (20, 10, 40)
        assert edges_needed(given, 0.005, 60) == (60, 40, 60)

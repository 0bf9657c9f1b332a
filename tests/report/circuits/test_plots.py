"""The picture of the loss gap against size."""

import pandas as pd
import pytest

from benchmark.report.circuits.plots import gap_against_size
from benchmark.report.layout.pictures import save


@pytest.mark.parametrize("edges", [[0, 110], [110], [0]])
def test_a_panel_without_a_circuit_between_empty_and_whole_is_drawn_all_the_same(tmp_path, edges):
    rows = pd.DataFrame({"method": "eap", "size": edges, "n_edges": 110})
    rows = rows.assign(loss_gap=0.5, loss_gap_low=0.4, loss_gap_high=0.6)
    paths = save(gap_against_size(rows, "nothing to see"), rows, tmp_path / "gap")
    assert all(path.stat().st_size > 0 for path in paths)

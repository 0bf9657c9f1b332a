"""The ROC picture averages the staircases of seeds."""

import numpy as np
import pandas as pd
import pytest

from benchmark.report.circuits.roc import roc
from benchmark.statistics.areas import pessimistic_auroc


def test_the_roc_averages_the_staircases_of_seeds():
    truth = np.array([1, 1, 0, 0, 0], dtype=bool)
    seeds = [np.array(circuits, dtype=bool) for circuits in (
        [[1, 0, 1, 0, 0], [1, 1, 1, 1, 0]], [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])]  # fmt: skip
    rates = {
        kind: {"recall": found[:, truth].mean(1), "false_positive_rate": found[:, ~truth].mean(1)}
        for kind, found in enumerate(seeds)
    }
    rows = pd.concat(
        pd.DataFrame({f"{kind}_{rate}": values for kind in ("edge", "component")
                      for rate, values in rates[seed].items()}).assign(key=seed, method="eap")
        for seed in rates
    )  # fmt: skip
    edges, components = roc(rows, "title").axes
    x, y = (np.asarray(values) for values in edges.lines[0].get_data())
    area = np.mean([pessimistic_auroc(found, truth) for found in seeds])
    assert np.diff(x) @ y[:-1] == pytest.approx(area)
    assert edges.lines[0].get_label() == f"eap  {area:.2f}, {area:.2f}"
    assert components.get_xlabel() == "false-positive rate (components)"

"""The picture of faithfulness against size."""

import pandas as pd
import pytest
from support.made.records import curve, recovered, results

from benchmark.report.circuits.faithfulness import faithfulness_against_size


def test_faithfulness_is_drawn_as_the_mean_over_seeds():
    found = results(*recovered((0.5, 0.5), (0.5, 0.5)), *recovered((1.0, 1.0), method="reference"))
    rows = curve(found).assign(cpr=0.8, cmd=0.3)
    rows.loc[rows["seed"] == 1, "faithfulness"] += 0.2
    published = pd.DataFrame(dict(method=["eap"], model="gpt2", size=[30.0], faithfulness=[0.33]))
    (axes,) = faithfulness_against_size(rows, "title", published).axes
    lines = {line.get_label(): line for line in axes.lines}
    mean = lines["eap  CPR 0.80, CMD 0.30"]
    assert mean.get_ydata() == pytest.approx([0.2, 0.6, 1.3])
    overlay = lines["eap (published, gpt2, task metric)"]
    assert overlay.get_linestyle() == ":" != mean.get_linestyle()
    assert lines["reference"].get_marker() == "x"
    (axes,) = faithfulness_against_size(rows.assign(faithfulness=9.0), "title").axes
    assert axes.get_ylim()[1] < 3 and "cut off" in axes.get_ylabel()

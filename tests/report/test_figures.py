"""Which pictures are made, of which records."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.records import drawn, record, recovered, results

from benchmark.errors import UserError
from benchmark.report.figures import Figures


@pytest.mark.slow
def test_pictures_of_recovery_and_faithfulness_need_what_they_show(monkeypatch, tmp_path):
    found = drawn(results(*recovered((0.7, 0.5)), *recovered((0.6, 0.5), method="reference")))
    settings = ("results", None, "cmd", 0.1, False, False)

    def stems(curves, place):
        loaded = {"circuits": replace(found, tables=curves)}
        monkeypatch.setattr("benchmark.report.figures.load_kinds", lambda *_: loaded)
        Figures(*settings, str(tmp_path / place)).run()
        return {path.stem.split("_")[0] for path in (tmp_path / place).iterdir()}

    assert stems(found.tables, "all") == {"gap", "faithfulness", "roc", "cost", "map"}
    assert set(pd.read_csv(tmp_path / "all" / "roc_ioi_toy_mean.csv")["method"]) == {"eap"}
    without = found.tables.drop(
        columns=[c for c in found.tables if c.startswith(("edge_", "node"))]
    )
    assert stems(without.assign(faithfulness=np.nan), "some") == {"gap", "cost", "map"}


def test_pictures_refuse_what_tables_refuse(monkeypatch, tmp_path):
    found = drawn(results(*recovered((0.7, 0.5)), record("x", "b", data={"train": "other"})))
    loaded = {"circuits": found}
    monkeypatch.setattr("benchmark.report.figures.load_kinds", lambda *_: loaded)
    with pytest.raises(UserError, match="different prompts"):
        Figures(str(tmp_path), None, "log_area", 0.1, False, False, str(tmp_path)).run()
    assert not list(tmp_path.iterdir())

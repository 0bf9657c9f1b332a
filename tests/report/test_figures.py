"""Which pictures are made, of which records."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.made.records import drawn, record, recovered, results

from benchmark.errors import UserError
from benchmark.report.figures import Figures
from benchmark.report.leaderboard import Leaderboard


@pytest.mark.slow
def test_pictures_of_recovery_and_faithfulness_need_what_they_show(monkeypatch, tmp_path):
    found = drawn(results(*recovered((0.7, 0.5)), *recovered((0.6, 0.5), method="reference")))
    settings = ("results", None, "cmd", 0.1, False, False, None, False)

    def stems(curves, place):
        loaded = {"circuits": replace(found, tables=curves)}
        monkeypatch.setattr("benchmark.report.figures.load_kinds", lambda *_, **__: loaded)
        Figures(*settings, str(tmp_path / place)).run()
        return {path.stem.split("_")[0] for path in (tmp_path / place).iterdir()}

    assert stems(found.tables, "all") == {"gap", "faithfulness", "roc", "cost", "map"}
    assert set(pd.read_csv(tmp_path / "all" / "roc_ioi_toy_mean.csv")["method"]) == {"eap"}
    without = found.tables.drop(
        columns=[c for c in found.tables if c.startswith(("edge_", "node"))]
    )
    assert stems(without.assign(faithfulness=np.nan), "some") == {"gap", "cost", "map"}


def test_an_empty_picture_is_not_written(monkeypatch, tmp_path):
    unknown = {"mean": {"cpr": np.nan, "cmd": np.nan}}
    (one,) = recovered((np.nan, np.nan))
    found = drawn(results(replace(one, areas=unknown)), faithfulness=np.nan)
    settings = ("results", None, "cmd", 0.1, False, False, None, False, str(tmp_path))

    def stems(curves):
        curves = curves.drop(columns=[c for c in curves if c.startswith("edge_")])
        loaded = {"circuits": replace(found, tables=curves)}
        monkeypatch.setattr("benchmark.report.figures.load_kinds", lambda *_, **__: loaded)
        Figures(*settings).run()
        return {path.stem for path in tmp_path.iterdir()}

    # The empty circuit and the whole model are no circuits.
    for size in (0, 100):
        assert not stems(found.tables.assign(size=size))
    assert stems(found.tables) == {"gap_ioi_toy_mean"}


def test_pictures_refuse_what_tables_refuse(monkeypatch, tmp_path):
    found = drawn(results(*recovered((0.7, 0.5)), record("x", "b", data={"train": "other"})))
    loaded = {"circuits": found}
    monkeypatch.setattr("benchmark.report.figures.load_kinds", lambda *_, **__: loaded)
    with pytest.raises(UserError, match="different prompts"):
        Figures(
            str(tmp_path), None, "log_area", 0.1, False, False, None, False, str(tmp_path)
        ).run()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_pictures_and_tables_refuse_the_same_holes(monkeypatch, tmp_path):
    (other,) = recovered((0.6, 0.5), method="random")
    other = replace(other, config=record("x", "random", seed=1).config)
    found = drawn(results(*recovered((0.7, 0.5)), other))
    for verb in ("figures", "leaderboard"):
        monkeypatch.setattr(
            f"benchmark.report.{verb}.load_kinds", lambda *_, **__: {"circuits": found}
        )

    def both(allow_missing):
        place, share = str(tmp_path / "made"), ("cmd", 0.1)
        yield Figures(str(tmp_path), None, *share, allow_missing, False, None, False, place)
        yield Leaderboard(
            str(tmp_path), None, None, None, *share, None, allow_missing, False, None, False, place
        )

    for verb in both(False):
        with pytest.raises(UserError, match=r"2 cells are missing .* add --allow-missing"):
            verb.run()
    assert not (tmp_path / "made").exists()
    for verb in both(True):
        verb.run()

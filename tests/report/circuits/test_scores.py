"""Scores of circuits, as tables rank them."""

from dataclasses import replace

import numpy as np
import pytest
from support.made.records import AREAS, COST, drawn, record, recovered, results

from benchmark.errors import UserError
from benchmark.report.circuits.board import leaderboard
from benchmark.report.circuits.scores import score_table, where_known
from benchmark.report.comparable import refuse_incomparable
from benchmark.report.score import Score


@pytest.mark.parametrize("changes", [("cdm", 0.1), ("z", 0.0)])
def test_scores_that_are_not_are_refused(changes):
    with pytest.raises(UserError, match=r"did you mean 'cmd'|is not a share"):
        Score(*changes)


def test_one_table_has_the_aurocs_of_edges_and_components():
    pairs = recovered((0.7, 0.5), (0.9, 0.5)), recovered((0.4, 0.6), (0.4, 0.8), method="random")
    unknown = replace(record("d", "eap", "docstring", cost=COST), areas=AREAS)
    found = drawn(results(*pairs[0], *pairs[1], unknown, replace(unknown, key="e", names=
        unknown.names | {"method": "random"})))  # fmt: skip
    score = Score("auroc", 0.1)
    rows = score_table(found, score)
    assert list(rows["part"].unique()) == ["edges", "components"] and rows["key"].nunique() == 6
    table = leaderboard(where_known(rows, score), score)
    assert list(table.columns[:2]) == ["components", "edges"]
    # t(0.975, 1) = 12.706; the standard error is 0.1.
    assert table.loc["eap", "edges"] == "0.800 ±1.271"
    assert table.loc["random", "components"] == "0.700 ±1.271"
    assert table.loc["eap", "mean rank"] == "1.50"


def test_aurocs_stand_once_whatever_circuits_are_evaluated_under():
    two = recovered((0.7, 0.5), evaluation={"zero": ["Zero", {}]})[0]
    two = replace(two, areas={"zero": AREAS["mean"], "resample": AREAS["mean"]})
    found = drawn(results(two))
    rows = score_table(found, Score("auroc", 0.1))
    assert rows["evaluation"].tolist() == ["mean", "mean"]
    refuse_incomparable(found, rows, allow_missing=False)


def test_faithfulness_at_a_share_is_that_of_the_largest_circuit_within_it():
    found = drawn(results(*recovered((0.7, 0.5))))
    at = {
        share: score_table(found, Score("faithfulness", share))["value"].item()
        for share in (0.3, 0.5, 1.0)
    }
    assert at == {0.3: 0.5, 0.5: 1.2, 1.0: 1.0}
    # Nothing as small was measured, which is no faithfulness of zero.
    assert np.isnan(score_table(found, Score("faithfulness", 0.05))["value"].item())


def test_a_share_of_edges_is_headed_as_given():
    assert Score("loss_gap", 0.034).title.endswith("at 3.4 % of edges")


def test_faithfulness_that_is_not_defined_is_not_that_of_the_whole_model():
    found = drawn(results(*recovered((0.7, 0.5))), faithfulness=np.nan)
    assert np.isnan(score_table(found, Score("faithfulness", 1.0))["value"].item())


@pytest.mark.parametrize("name", ["log_area", "faithfulness", "z"])
def test_the_whole_model_alone_gives_no_score(name):
    """Nor does it give that of the empty circuit."""
    (made,) = recovered((0.7, 0.5))
    ends = {"mean": {"empty": {"loss_gap": 2.0}, "full": {"loss_gap": 0.0}}}
    found = drawn(results(replace(made, ends=ends)), size=100, requested_size=100)
    assert np.isnan(score_table(found, Score(name, 0.5))["value"].item())


def test_scores_have_the_intervals_of_their_records():
    (made,) = recovered((0.7, 0.5))
    areas = {"mean": AREAS["mean"] | {"cpr_low": 0.7, "cpr_high": 0.9}}
    found = drawn(results(replace(made, areas=areas)), ndf=[0.0, 0.5, 1.0], ndf_low=0.0)
    ends = ["value", "low", "high"]
    assert score_table(found, Score("cpr", 0.1))[ends].values.tolist() == [[0.8, 0.7, 0.9]]
    assert np.isnan(score_table(found, Score("cmd", 0.1))[ends].values.tolist()[0][1])
    row = score_table(found, Score("ndf", 0.1)).iloc[0]
    # Half at 20 of 100 edges, all from 50 on; the lower end rises at the whole model alone.
    assert row["value"] == pytest.approx(0.1 * 0.5 / 2 + 0.3 * 1.5 / 2 + 0.5)
    assert row["low"] == pytest.approx(0.25)
    assert np.isnan(row["high"])


def test_edges_at_a_loss_gap_are_the_fewest_measured_with_no_more():
    gaps = np.array([0.2, 0.06, 0.04])
    found = drawn(
        results(*recovered((0.7, 0.5))),
        loss_gap=gaps,
        loss_gap_low=gaps / 2,
        loss_gap_high=2 * gaps,
    )
    rows = score_table(found, Score("edges", 0.1)).set_index("part")
    sizes = np.array([10, 20, 50])
    for part, gap in (("0.05 nats", 0.05), ("0.1 nats", 0.1)):
        by_hand = [min([*sizes[ends <= gap], 100]) for ends in (gaps, gaps / 2, 2 * gaps)]
        assert rows.loc[part, ["value", "low", "high"]].tolist() == by_hand
    table = leaderboard(score_table(found, Score("edges", 0.1)), Score("edges", 0.1))
    assert table.loc["eap", "0.05 nats"] == "50 [20, 100]"

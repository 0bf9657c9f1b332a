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

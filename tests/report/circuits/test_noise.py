"""Columns whose two ends may be equal are marked where a score divides by their distance."""

from dataclasses import replace

import pytest
from support.made.records import AREAS, COST, drawn, record, results

from benchmark.records.record import DIFFERENCE
from benchmark.report.circuits.board import tables
from benchmark.report.circuits.noise import MARK
from benchmark.report.circuits.pictures import figures
from benchmark.report.protocol import Asked
from benchmark.report.score import Score


def found(low):
    """Records of two tasks; of one, the lower end of the distance is as given."""
    ends = {name: {"loss_gap": 0.0, "logit_difference": 0.0} for name in ("empty", "full")}
    apart = {"logit_difference": 0.5, "logit_difference_low": low, "logit_difference_high": 0.9}
    made = [
        replace(
            record(f"{method}-{task}", method, task, cost=COST, areas=AREAS),
            ends={"mean": ends | ({DIFFERENCE: apart} if task == "ioi" else {})},
        )
        for method in ("eap", "random")
        for task in ("docstring", "ioi")
    ]
    return drawn(results(*made), ndf=0.5, ndf_low=0.4, ndf_high=0.6)


@pytest.mark.parametrize("name", ["cpr", "cmd", "faithfulness"])
def test_a_score_that_divides_by_noise_is_marked_and_says_how_small_it_is(name):
    (made,) = tables(found(-0.1), Asked(Score(name, 0.5)))
    assert list(made.table.columns[:2]) == ["docstring", f"ioi {MARK}"]
    assert "ioi by toy under mean 0.5 [-0.1, 0.9]" in made.note
    assert "docstring by" not in made.note


@pytest.mark.parametrize(("name", "low"), [("cmd", 0.1), ("ndf", -0.1)])
def test_others_are_not(name, low):
    (made,) = tables(found(low), Asked(Score(name, 0.5)))
    assert list(made.table.columns[:2]) == ["docstring", "ioi"] and not made.note


def test_the_picture_of_faithfulness_says_so():
    made = {one.words: one.figure for one in figures(found(-0.1), Asked(circuits=False))}
    (noted,) = [words for words, one in made.items() if one.get_supxlabel().startswith(MARK)]
    assert noted == ("faithfulness", "ioi", "toy", "mean")

"""The leaderboard of circuits: ranks, and intervals over seeds."""

from support.made.records import record, results, score_rows

from benchmark.report.circuits.board import leaderboard
from benchmark.report.layout.tables import DASH
from benchmark.report.score import Score

SCORE = Score("cmd", 0.1)


def test_ranks_are_among_the_complete_and_dashes_have_none():
    found = results(
        record("a1", "a"), record("a2", "a", "docstring"),
        record("b1", "b"), record("b2", "b", "docstring"), record("c1", "c"),
    )  # fmt: skip
    values = {"a1": 0.3, "a2": 0.1, "b1": 0.2, "b2": 0.4, "c1": 0.0}
    table = leaderboard(score_rows(found, values), SCORE)
    assert list(table.index)[2] == "c"
    assert table.loc["c", "docstring"] == DASH == table.loc["c", "mean rank"]
    assert table.loc["c", "passes"] == DASH
    assert table.loc["a", "mean rank"] == table.loc["b", "mean rank"] == "1.50"


def test_columns_stand_as_their_cells_ended_which_is_as_they_were_typed():
    tasks = ("ioi", "docstring", "greater_than")
    found = results(
        *(record(f"{method}{n}", method, task, created=f"2026-01-01T00:0{n}:00+00:00")
          for method in "ab" for n, task in enumerate(tasks))
    )  # fmt: skip
    table = leaderboard(score_rows(found), SCORE)
    assert tuple(table.columns[:3]) == tasks


def test_seeds_are_averaged_with_students_interval():
    found = results(*(record(f"s{seed}", seed=seed) for seed in range(3)))
    table = leaderboard(score_rows(found, {"s0": 1.0, "s1": 2.0, "s2": 3.0}), SCORE)
    # t(0.975, 2) = 4.303; the standard error is 1 / sqrt(3).
    assert table.loc["eap", "ioi"] == "2.000 ±2.484"


def test_a_method_is_not_first_among_those_that_the_score_is_not_known_of():
    found = results(record("a", "a"), record("b", "b"))
    table = leaderboard(score_rows(found, {"a": 0.3, "b": float("nan")}), SCORE)
    assert list(table["mean rank"]) == [DASH, DASH] and table.loc["b", "ioi"] == DASH
    alone = leaderboard(score_rows(results(record("a", "a"))), SCORE)
    assert alone.loc["a", "mean rank"] == "1.00"

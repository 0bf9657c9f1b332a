"""A user's records beside those that ship: what may stand there does, and what differs is said."""

from dataclasses import replace

import pytest
from support.made.pages import saved
from support.made.records import seal_anew

from benchmark.config import configured_alone
from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.records.record import RECORD, Record
from benchmark.report.frame import load_kinds
from benchmark.report.reference import Beside

GRAPH = ComputationalGraph(2, 4)


def kept(place, key, method="eap", seed=0, **changes):
    saved(place, key, [5, 40], seed=seed, graph=GRAPH, method=method, **changes)


def beside(tmp_path):
    shown = Beside(tmp_path / "shipped")
    (found,) = load_kinds(tmp_path / "own", beside=shown).values()
    return {key: path.parent.name for key, path in found.paths.items()}, shown.notes


def test_what_was_run_alike_stands_beside_ones_own_and_nothing_else(tmp_path):
    kept(tmp_path / "own", "mine", "new_method")
    for key, changes in {
        "same": {},
        "other_seed": {"seed": 1},
        "other_task": {"task": "docstring"},
        "more": {"method": "random", "config": {"n_train": 16}},
    }.items():
        kept(tmp_path / "shipped", key, **changes)
    found, notes = beside(tmp_path)
    assert found == {"mine": "own", "same": "shipped"}
    (note,) = notes
    assert note == (
        "1 of the records that ship, of ioi on toy under mean with seed=0, are left out: "
        "n_train 16 there, 8 here"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"versions": {"task": 2, "ablation-bench": "1"}}, "version of the task 2 there, 1 here"),
        ({"versions": {"task": 1, "ablation-bench": "2"}}, "version of ablation-bench 2 there"),
        ({"model": {"files": "others"}}, "other model files"),
        ({"data": {"train": "0" * 64, "test": "0" * 64}}, "other prompts"),
        ({"evaluation": {"mean": ["Mean", {"keep_first": False}]}}, "other recipe of mean"),
    ],
)
def test_what_differs_is_said(tmp_path, changes, words):
    kept(tmp_path / "own", "mine", "new_method")
    kept(tmp_path / "shipped", "theirs")
    place = tmp_path / "shipped" / "theirs" / RECORD
    replace(Record.read(place), **changes).write(place)
    found, notes = beside(tmp_path)
    assert list(found) == ["mine"] and words in notes[0]


def test_ones_own_record_of_a_cell_counts(tmp_path):
    kept(tmp_path / "own", "one")
    for key in ("one", "again"):
        kept(tmp_path / "shipped", key)
    assert beside(tmp_path) == ({"one": "own"}, [])


def test_what_nothing_ships_of_is_said_with_what_does(tmp_path):
    kept(tmp_path / "own", "mine", "new_method", seed=7)
    kept(tmp_path / "shipped", "theirs")
    _, (note,) = beside(tmp_path)
    assert note == (
        "nothing ships of ioi on toy under mean with seed=7; what ships is of ioi on toy under "
        "mean (seed 0)"
    )


def test_a_new_method_has_a_rank_and_an_interval_in_the_shipped_board(tmp_path, monkeypatch):
    for place, key, method in (
        ("own", "mine", "new_method"), ("shipped", "a", "eap"), ("shipped", "b", "random"),
    ):  # fmt: skip
        kept(tmp_path / place, key, method)
    # The new one is ten times worse than random.
    table = tmp_path / "own" / "mine" / "table.parquet"
    import pandas as pd

    rows = pd.read_parquet(table)
    columns = [name for name in rows if name.startswith("loss_gap")]
    rows.assign(**{name: 10 * rows[name] for name in columns}).to_parquet(table, index=False)
    seal_anew(tmp_path / "own" / "mine")
    monkeypatch.setattr("benchmark.report.leaderboard.Beside", lambda: Beside(tmp_path / "shipped"))
    board = configured_alone(
        "leaderboard", results_dir=str(tmp_path / "own"), reference=True, score="loss_gap",
        at_share=0.5, directory=str(tmp_path / "reports"),
    )  # fmt: skip
    board.run()
    written = pd.read_csv(next((tmp_path / "reports").glob("*.csv")), index_col=0)
    assert list(written.index) == ["eap", "random", "new_method"] or list(written.index) == [
        "random", "eap", "new_method",
    ]  # fmt: skip
    assert written.loc["new_method", "mean rank"] == 3
    assert written.loc["new_method", "ioi"] == "1.000 [0.500, 2.000]"


def test_without_records_of_ones_own_all_that_ship_of_a_model_are_shown(tmp_path):
    for key, changes in {"a": {}, "b": {"method": "random"}}.items():
        kept(tmp_path / "shipped", key, **changes)
    found = load_kinds(
        tmp_path / "none", only={"model": ["toy"]}, beside=Beside(tmp_path / "shipped")
    )
    assert set(found["circuits"].records) == {"a", "b"}
    with pytest.raises(UserError, match="model=another has no finished record"):
        load_kinds(
            tmp_path / "none", only={"model": ["another"]}, beside=Beside(tmp_path / "shipped")
        )

"""Records that cannot be read are named and counted, and spoil none of the others."""

import shutil
from dataclasses import replace

import pytest
from support.command import run_in_fork
from support.made.nodes import write_recall
from support.made.records import COST, record, results

from benchmark.errors import UserError
from benchmark.records.record import RECORD, TABLE, Record
from benchmark.report.frame import load_kinds
from benchmark.report.leaderboard import Leaderboard
from benchmark.report.left_out import MOST_LINES, Shown, lines
from benchmark.run.verify import verify_record


@pytest.fixture
def folder(tmp_path):
    """Whole records of two methods, and four that cannot be read."""
    whole, _ = (write_recall(tmp_path, name, noise=1) for name in ("atp", "atp_star"))
    for name in ("flipped", "another table", "copy", "newer"):
        shutil.copytree(tmp_path / whole.key, tmp_path / name)
        if name != "copy":
            replace(whole, key=name).write(tmp_path / name / RECORD)
    flip(tmp_path / "flipped" / RECORD)
    flip(tmp_path / "another table" / TABLE)
    replace(Record.read(tmp_path / "newer" / RECORD), schema=99).write(tmp_path / "newer" / RECORD)
    return tmp_path


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_others_are_shown_and_each_is_named(folder):
    result = run_in_fork("leaderboard", f"results_dir={folder}")
    assert result.returncode == 1
    assert " atp " in result.stdout and " atp_star " in result.stdout
    *named, count = result.stderr.splitlines()
    assert count == "ablation-bench: 4 records are left out of this"
    whole = load_kinds(folder)["node_importance"].done[0]
    for line, said in zip(
        named,
        (
            f"{folder}/another table/{RECORD} is damaged: {TABLE} beside it is missing or another",
            f"{folder}/copy holds a copy of record {whole.key}; delete it, or move it",
            f"{folder}/flipped/{RECORD} is damaged: ",
            f"{folder}/newer/{RECORD} was written by another version (ablation-bench None, sch",
        ),
        strict=True,
    ):
        assert line.startswith("ablation-bench: left out: ") and said in line


@pytest.mark.slow
def test_pictures_are_drawn_of_the_others(folder):
    result = run_in_fork("figures", f"results_dir={folder}")
    assert result.returncode == 1
    assert "recall" in result.stdout and "4 records are left out" in result.stderr


@pytest.mark.parametrize("name", ["flipped", "another table", "copy", "newer"])
def test_verify_says_what_is_wrong_and_proposes_no_record_for_itself(folder, name):
    with pytest.raises(UserError) as error:
        verify_record(folder, name)
    assert "did you mean" not in str(error.value) and str(folder / name) in str(error.value)


def test_where_nothing_else_is_the_damage_is_the_reason(folder):
    for found in load_kinds(folder)["node_importance"].paths.values():
        shutil.rmtree(found)
    with pytest.raises(
        UserError, match=r"no finished record; .* 4 are left out, the first: .*/ano"
    ):
        load_kinds(folder)


def test_a_hole_that_damage_left_stops_no_board(monkeypatch, tmp_path):
    made = [
        record(key, method, task, cost=COST, areas={"mean": {"cmd": 0.5}})
        for key, method, task in (("a", "eap", "ioi"), ("b", "eap", "x"), ("c", "random", "ioi"))
    ]
    found = results(*made)
    found.tables["key"] = found.tables["evaluation"] = []
    board = Leaderboard(
        "results", None, None, None, "cmd", 0.1, None, False, False, None, False, str(tmp_path)
    )

    def shown(found):
        monkeypatch.setattr(
            "benchmark.report.leaderboard.load_kinds", lambda *_, **__: {"circuits": found}
        )
        return board.run()

    with pytest.raises(UserError, match="1 cells are missing or failed, the first: method=random"):
        shown(found)
    assert shown(replace(found, left_out=("d is damaged",))).left_out == ("d is damaged",)


def test_many_are_counted_and_the_first_named():
    assert lines(Shown()) == []
    assert lines(Shown(left_out=["a"])) == ["left out: a", "1 record is left out of this"]
    assert lines(Shown(faults=["b"])) == ["b"]
    many = lines(Shown(left_out=map(str, range(99))))
    assert len(many) == MOST_LINES + 1 and many[-1] == "99 records are left out of this"

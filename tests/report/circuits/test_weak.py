"""Models that do not do a task are marked, with a footnote, in tables and pictures of circuits."""

from dataclasses import replace

from support.made.records import COST, drawn, record, results

from benchmark.records.record import LEAST_ACCURACY
from benchmark.report.circuits.board import tables
from benchmark.report.circuits.pictures import figures
from benchmark.report.circuits.weak import MARK
from benchmark.report.layout.tables import write_table
from benchmark.report.protocol import Asked
from benchmark.report.score import Score

ASKED = Asked(Score("cmd", 0.1), circuits=False)
NOTE = (
    f"{MARK} the whole model's accuracy is below 0.5, so its circuits say little of the task: "
    "docstring by toy 0.02"
)


def found(**accuracy):
    made = [
        record(
            f"{method}-{task}", method, task, cost=COST, areas={"mean": {"cpr": 0.8, "cmd": 0.3}}
        )
        for task in accuracy
        for method in ("eap", "random")
    ]
    return drawn(results(*(replace(one, accuracy=accuracy[one.names["task"]]) for one in made)))


def test_the_leaderboard_marks_the_column_and_explains_the_mark(tmp_path):
    (made,) = tables(found(docstring=0.02, ioi=0.9), ASKED)
    assert list(made.table.columns)[:2] == [f"docstring {MARK}", "ioi"]
    assert made.note == NOTE
    paths = {
        path.suffix: path.read_text() for path in write_table(made.table, tmp_path / "x", NOTE)
    }
    for ending in (".md", ".tex"):
        assert "is below 0.5, so its circuits say little" in paths[ending]
    assert f"docstring {MARK}" in paths[".csv"]


def test_models_that_do_their_tasks_have_no_mark(tmp_path):
    (made,) = tables(found(docstring=LEAST_ACCURACY, ioi=None), ASKED)
    assert list(made.table.columns)[:2] == ["docstring", "ioi"] and made.note == ""
    for picture in figures(found(docstring=LEAST_ACCURACY, ioi=None), ASKED):
        assert MARK not in texts(picture.figure)


def test_pictures_are_marked_with_the_footnote_below():
    made = {figure.words: figure for figure in figures(found(docstring=0.02, ioi=0.9), ASKED)}
    marked = {words for words, one in made.items() if MARK in texts(one.figure)}
    assert marked == {words for words in made if "ioi" not in words}
    assert ("gap", "docstring", "toy", "mean") in marked and ("gap", "ioi", "toy", "mean") in made
    for words in marked:
        assert NOTE in " ".join(texts(made[words].figure).split())


def texts(figure):
    """Everything that is written in a picture but its axes' labels."""
    titles = [axes.get_title() for axes in figure.axes]
    return "\n".join([*titles, figure.get_suptitle(), figure.get_supxlabel()])

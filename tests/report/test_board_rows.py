"""Rows of MIB's board beside what papers published, and files that are none."""

import json

import pytest

from benchmark.errors import UserError
from benchmark.report.circuits.beside import published_rows
from benchmark.report.published.board_rows import board_rows
from benchmark.report.published.numbers import COLUMNS, published_faithfulness
from benchmark.report.score import Score


def board_row(path, **cells):
    """A row of MIB's board of one method, as its data set has them."""
    sizes, values = list(range(10, 110, 10)), [x / 10 for x in range(10)]
    points = {"edge_counts": sizes, "faithfulness": values}
    scores = {task: {"CPR": points, "CMD": points} for task in ("ioi", "arithmetic_addition")}
    results = [{"model_id": "gpt2", "scores": scores} | cells]
    path.write_text(json.dumps({"method_name": "their method", "results": results}))


def test_rows_of_the_board_stand_beside_with_their_curves_and_areas(tmp_path):
    board_row(tmp_path / "row.json")
    rows = board_rows(tmp_path)
    assert list(rows.columns) == list(COLUMNS) and len(rows) == 2 * 2 * 11
    shown = published_rows(Score("cpr", 0.1), {("ioi", "gpt2")}, rows)
    (value,) = shown[shown["source"] == "MIB board"]["value"]
    shares = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    by_hand = sum((shares[i + 1] - shares[i]) * (2 * i + 1) / 20 for i in range(9))
    assert value == pytest.approx(by_hand)
    points = published_faithfulness("ioi_io_flip", "gpt2", "counterfactual", 479, rows)
    own = points[points["method"] == "their method, circuits of CMD"]
    assert own["size"].tolist() == list(range(10, 110, 10))
    assert own["faithfulness"].tolist() == [x / 10 for x in range(10)]


@pytest.mark.parametrize("content", ["{", "[]", '{"method_name": "x", "results": [{}]}'])
def test_what_is_no_row_of_the_board_is_one_line(tmp_path, content):
    (tmp_path / "row.json").write_text(content)
    with pytest.raises(UserError, match=r"row\.json is no row of MIB's board"):
        board_rows(tmp_path / "row.json")
    short = {"ioi": {"CPR": {"edge_counts": [1], "faithfulness": [1.0]}}}
    board_row(tmp_path / "row.json", scores=short)
    with pytest.raises(UserError, match="1 sizes and 1 values, not ten of each"):
        board_rows(tmp_path)
    (tmp_path / "row.json").unlink()
    with pytest.raises(UserError, match=r"has no \.json file"):
        board_rows(tmp_path)

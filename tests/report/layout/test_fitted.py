"""Tables in terminals: at every width each number is whole, beside its row and under its column."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmark.report.layout.fitted import FittedTable, shortened

PLACES = [f"/home/someone/models/pretrained/{run}/final/checkpoint" for run in ("a", "b", "c")]


def lines_at(width, table, title="The title"):
    console = Console(file=io.StringIO(), width=width)
    console.print(FittedTable(table, title))
    return console.file.getvalue().splitlines()


def long_table(n_rows, n_columns):
    """Numbers with intervals, each once in the table, under and beside long names."""
    values = np.arange(n_rows * n_columns).reshape(n_rows, n_columns) / 1000
    cells = [[f"-{v:.3f} [-{v + 5:.3f}, {v + 7:.3f}]" for v in row] for row in values]
    columns = [f"ioi n_train={n} toy name={PLACES[n % 3]}" for n in range(n_columns)]
    rows = [f"method{n} granularity=component selection=greedy" for n in range(n_rows)]
    return pd.DataFrame(cells, pd.Index(rows, name="method"), columns)


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize(("n_rows", "n_columns"), [(3, 12), (20, 12), (1, 1), (12, 2)])
def test_every_number_is_whole_and_in_its_order(width, n_rows, n_columns):
    table = long_table(n_rows, n_columns)
    lines = lines_at(width, table)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    places = {cell: text.index(cell) for row in table.to_numpy() for cell in row}
    assert all(text.count(cell) == 1 for cell in places)
    for row in table.to_numpy():
        found = [places[cell] for cell in row]
        assert found == sorted(found)
    assert "…/" not in text and "The title" in text


def test_a_table_that_fits_is_shown_as_it_is():
    table = pd.DataFrame({"ioi": ["0.1"], "docstring": ["0.2"]}, pd.Index(["eap"], name="method"))
    text = "\n".join(lines_at(80, table))
    assert "method" in text and "ioi" in text and "of" not in text.replace("docstring", "")


def test_few_rows_and_many_columns_are_exchanged():
    """Every heading begins a line of its own, in the order of the columns."""
    table = long_table(2, 12).set_axis([f"task{n}" for n in range(12)], axis=1)
    table.index = pd.Index(["eap", "ugs"], name="method")
    lines = [line for line in lines_at(80, table) if "task" in line]
    assert [line.split()[1] for line in lines] == [f"task{n}" for n in range(12)]
    assert all(line.count("[") == 2 for line in lines)


def test_parts_name_their_rows_and_are_counted():
    table = long_table(20, 12).set_axis([f"task{n}" for n in range(12)], axis=1)
    lines = lines_at(80, table)
    parts = sum("The title (" in line for line in lines)
    assert parts > 1 and any(f"(1 of {parts})" in line for line in lines)
    assert sum("method19" in line for line in lines) == parts


def test_directories_are_cut_from_the_left_and_stay_apart():
    short = shortened(PLACES)
    assert short == [f"…{run}/final/checkpoint" for run in "abc"]
    assert shortened(["eap", "eap granularity=component"]) == ["eap", "…granularity=component"]
    for whole in (["x" * 30, "y" * 30], ["eap very same ending", "ugs very same ending"]):
        assert shortened(whole) == whole

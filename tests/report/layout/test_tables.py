"""Names that a form would read as its own signs, in every form of a table."""

import csv as csv_reader
import io

import pandas as pd
import pytest

from benchmark.report.layout.tables import safe_csv, write_table

HOSTILE = ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3|x", "<script>a</script>", "a|b\nc",
           r"a\b_c#d$e%f&g{h}~^", "[x](http://y)", "`rm`"]  # fmt: skip


@pytest.fixture
def texts(tmp_path):
    table = pd.DataFrame({"a|b": HOSTILE, "n": "-0.5"}, index=pd.Index(HOSTILE, name="method"))
    return {path.suffix: path.read_text() for path in write_table(table, tmp_path / "table")}


def test_markdown_has_as_many_cells_as_the_table_and_no_tags(texts):
    lines = texts[".md"].splitlines()
    assert len(lines) == 2 + len(HOSTILE)
    for line in lines[2:]:
        assert line.replace(r"\|", "").count("|") == 4
    assert "<" not in texts[".md"]
    assert "[x](" not in texts[".md"]


def test_latex_has_one_line_a_row_and_no_commands_of_the_names(texts):
    rows = texts[".tex"].splitlines()[4:-2]
    assert len(rows) == len(HOSTILE)
    assert all(row.endswith(r"\\") and row.replace(r"\&", "").count("&") == 2 for row in rows)
    assert r"a\textbackslash b\_c\#d\$e\%f\&g\{h\}\textasciitilde \textasciicircum" in rows[6]


def test_csv_starts_no_cell_with_a_formula_and_leaves_numbers(texts):
    rows = list(csv_reader.reader(io.StringIO(texts[".csv"])))
    assert [row[0].lstrip("'") for row in rows[1:]] == HOSTILE
    assert all(row[0][0] not in "=+@-" for row in rows[1:])
    assert {row[2] for row in rows[1:]} == {"-0.5"}
    assert safe_csv(pd.DataFrame({"x": [-1.5]}), index=False) == "x\n-1.5\n"


@pytest.mark.parametrize("number", ["-0.146 [-0.223, -0.084]", "-1e-05", "+3", "-.5", "-"])
def test_a_signed_number_is_no_formula(number):
    assert safe_csv(pd.DataFrame({"x": [number]}), index=False).splitlines()[1].strip('"') == number

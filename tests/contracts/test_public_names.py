"""The names of `from benchmark import ...`: each is there, and costs nothing until it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import benchmark


@pytest.mark.parametrize("name", benchmark.PUBLIC)
def test_every_name_is_there(name):
    assert getattr(benchmark, name).__name__ == name
    assert name in dir(benchmark)


def test_editors_are_told_of_the_same_names():
    tree = ast.parse(Path(benchmark.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.asname: str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == {name: f"benchmark.{module}" for name, module in benchmark.PUBLIC.items()}


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'benchmark' has no attribute 'load_modle'"):
        _ = benchmark.load_modle  # pyright: ignore[reportAttributeAccessIssue]


def test_nothing_heavy_comes_with_the_package():
    code = (
        "import sys, benchmark; dir(benchmark); benchmark.UserError; print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"

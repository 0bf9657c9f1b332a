"""What the README shows is what happens."""

import re
import subprocess
import sys
from typing import ClassVar

import pytest
import torch
from support.paths import ROOT
from support.prompts import random_batch

from benchmark.graph import mask
from benchmark.method import circuits as method
from benchmark.method import found

README = (ROOT / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


EXAMPLES = {
    "{mask.n_edges} edges": r"300 edges: \d\.\d+ nats\n\(8, 2\)\n",
    "nodes.name": r"\['a\d.h\d<.>@\d+', .*\]\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("part", EXAMPLES)
def test_python_examples_run(tmp_path, part):
    code = next(code for code in CODE if "load_model" in code and part in code)
    example = tmp_path / "example.py"
    example.write_text(code)
    result = subprocess.run(
        [sys.executable, example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(EXAMPLES[part], result.stdout)


def test_the_example_of_a_method_finds_circuits(gpt2):
    code = next(code for code in CODE if "def discover" in code)
    known = vars(method) | vars(found) | vars(mask) | {"torch": torch, "ClassVar": ClassVar}
    exec(code, known)
    example = known["Latest"]()
    assert isinstance(example, method.CircuitMethod)
    asked = method.Problem.of(gpt2, random_batch(), ablation="mean", metric="kl")
    assert [found.mask.n_edges for found in example.discover(asked, [0, 7])] == [0, 7]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_named_files_exist():
    for name in re.findall(r"`((?:conf|scripts|benchmark)/[\w./]+)`", README):
        assert (ROOT / name).exists(), name

"""What the READMEs show is what happens."""

import re
from functools import partial
from typing import ClassVar

import pytest
import torch
from support.command import run_in_fork
from support.paths import ROOT
from support.prompts import random_batch

from benchmark.cli.main import VERBS
from benchmark.cli.typed.arguments import check_arguments
from benchmark.graph import mask, scores
from benchmark.method import circuits as method
from benchmark.method import found

READMES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("[a-z]*/README.md"))]
TEXTS = {path: path.read_text() for path in READMES}
CODE = [code for text in TEXTS.values() for code in re.findall(r"```python\n(.*?)```", text, re.S)]
LINKS = [
    (path, link) for path, text in TEXTS.items() for link in re.findall(r"\]\(([^)#]+)\)", text)
]
MOST_LINES = 200


EXAMPLES = {
    "{mask.size} edges": r"300 edges: \d\.\d+ nats\n\(8, 2\)\n",
    "draw_trajectory": r"",
    "nodes.name": r"\['a\d.h\d<.>@\d+', .*\]\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("part", EXAMPLES)
def test_python_examples_run(tmp_path, part):
    code = next(code for code in CODE if "load_model" in code and part in code)
    result = run_in_fork(cwd=tmp_path, command=partial(exec, code, {}))
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(EXAMPLES[part], result.stdout)


@pytest.mark.slow
def test_the_example_of_a_method_finds_circuits(gpt2):
    code = next(code for code in CODE if "def discover" in code)
    known = (
        vars(method)
        | vars(found)
        | vars(mask)
        | vars(scores)
        | {"torch": torch, "ClassVar": ClassVar}
    )
    exec(code, known)
    example = known["Latest"]()
    assert isinstance(example, method.CircuitMethod)
    asked = method.Problem.of(gpt2, random_batch(), ablation="mean", metric="kl")
    assert [found.mask.size for found in example.discover(asked, [0, 7])] == [0, 7]


@pytest.mark.parametrize(("path", "link"), LINKS)
def test_links_lead_somewhere(path, link):
    assert (path.parent / link).exists()


def test_named_files_exist():
    for text in TEXTS.values():
        for name in re.findall(r"`((?:conf|scripts|benchmark|methods|tests)/[\w./]+)`", text):
            assert "NAME" in name or (ROOT / name).exists(), name


def test_commands_name_what_exists():
    """Verbs, options of groups and settings of options; `check_arguments` reads them as typed."""
    commands = [
        line.split("#")[0].removeprefix(".venv/bin/").split()[1:]
        for text in TEXTS.values()
        for block in re.findall(r"```bash\n(.*?)```", text, re.S)
        for line in block.splitlines()
        if line.removeprefix(".venv/bin/").startswith("ablation-bench ")
    ]
    assert len(commands) > 8
    for words in commands:
        n_words = 2 if " ".join(words[:2]) in VERBS else 1
        settings = VERBS[" ".join(words[:n_words])].settings
        if settings is not None:
            check_arguments(settings, words[n_words:])


def test_every_top_folder_has_a_readme_and_the_first_page_is_short():
    assert {path.parent.name for path in READMES[2:]} == {
        "benchmark", "conf", "methods", "scripts", "tasks", "tests",
    }  # fmt: skip
    assert len(TEXTS[ROOT / "README.md"].splitlines()) <= MOST_LINES

"""What is known of each task: the file of its family in tests/tasks, and a tokenizer for it."""

import re
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from random import Random

import pytest
from support.paths import ROOT

from benchmark.config import configured, configured_names
from benchmark.models.tokenizer import load_tokenizer
from benchmark.pretraining.vocabulary import word_level_tokenizer
from benchmark.zoo.cards import zoo_directory, zoo_names

# What users bring, or fetch from the hub, is tested on files; running text has no right answers.
OPTIONS = [
    name
    for name in configured_names("task")
    if not name.startswith(("own_data", "labelled_")) and not name.endswith("text")
]
# One option of each family is quick to test, the others are left to the whole suite.
FIRST = {configured("task", option).family: option for option in reversed(OPTIONS)}
MARKED_OPTIONS = [
    option if option in FIRST.values() else pytest.param(option, marks=pytest.mark.slow)
    for option in OPTIONS
]


@cache
def known(family):
    """A task's own test file: `solve(prompt)` answers it, `HASHES` are of its prompts by option."""
    path = ROOT / "tests" / "tasks" / f"test_{family}.py"
    assert path.exists(), f"a task needs {path.relative_to(ROOT)} with solve(prompt) and HASHES"
    spec = spec_from_file_location(f"known_{family}", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tokenizer_for(option):
    """Of the toy model, of the task's own model if it has one, or made from the task's words."""
    task = configured("task", option)
    if getattr(known(task.family), "BEYOND_THE_ZOO", False):
        draw = Random(0)
        pairs = [task.draw(draw) for _ in range(300)]
        texts = [text for pair in pairs for text in (pair.clean, pair.corrupted, *pair.answers)]
        return word_level_tokenizer([*texts, *pairs[0].wrong], 100)
    name = option if option in zoo_names() else "toy_gpt2"
    return load_tokenizer(str(zoo_directory(name)), None, 100_000)


def words(text):
    return re.findall(r"\w+", text)

"""Circuits of one template on another: those that its own prompts give."""

import pytest
import torch

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.method.problem import Problem
from benchmark.models.loading import load_model
from benchmark.prompts.task import Split


def test_circuits_are_those_of_the_other_tasks_prompts():
    model = load_model("tiny_gpt2")
    tasks = {name: configured("task", name) for name in ("ioi_abba", "ioi_baba")}
    batches = {name: task.batch(model.tokenizer, Split.train, 8, 3) for name, task in tasks.items()}
    problems = {name: Problem.of(model, batch, seed=3) for name, batch in batches.items()}
    method = configured("method", "transferred", task="ioi_abba")
    (found,) = method.discover(problems["ioi_baba"], [20])
    (own,) = configured("method", "eap").discover(problems["ioi_abba"], [20])
    (other,) = configured("method", "eap").discover(problems["ioi_baba"], [20])
    assert torch.equal(found.mask.keep, own.mask.keep)
    assert not torch.equal(found.mask.keep, other.mask.keep)


def test_the_other_task_and_method_decide_the_key():
    digests = {
        configured("method", "transferred", **changes).data_digest()
        for changes in ({}, {"task": "ioi_baba"}, {"base": "random"})
    }
    assert len(digests) == 3
    with pytest.raises(UserError, match="finds no circuits; type method"):
        _ = configured("method", "transferred", base="atp").uses

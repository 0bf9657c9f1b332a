"""What a method sees of its prompts and of its folder."""

import torch
from support.problems import training_problem


def test_other_batches_hold_the_same_prompts(planted):
    problem = training_problem(planted)
    parts = problem.in_batches(5)
    assert [len(part) for part in parts] == [5, 5, 2]
    whole = problem.batches[0]
    assert sum((part.ids for part in parts), ()) == whole.ids
    assert torch.equal(torch.cat([part.answers for part in parts]), whole.answers)


def test_checkpoints_lie_in_the_work_folder_if_there_is_one(planted, tmp_path):
    problem = training_problem(planted, work_folder=tmp_path)
    assert problem.checkpoint("masks of a").parent == tmp_path
    assert problem.checkpoint("masks of a") != problem.checkpoint("masks of b")
    assert training_problem(planted).checkpoint("masks") is None


def test_an_ablation_is_fitted_once(planted, monkeypatch):
    problem, calls = training_problem(planted, "mean"), []
    fit = type(problem.ablation).fit
    monkeypatch.setattr(
        type(problem.ablation), "fit", lambda *given: calls.append(given) or fit(*given)
    )
    assert problem.replacement is problem.replacement
    assert len(calls) == 1

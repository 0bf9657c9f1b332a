"""What can be compared, and what is refused."""

from dataclasses import replace

import pytest
from support.made.records import record, results, score_rows

from benchmark.errors import UserError
from benchmark.records.record import Status
from benchmark.report.comparable import refuse_holes, refuse_incomparable
from benchmark.report.frame import all_labels


def check(*records, allow_missing=False):
    found = results(*records)
    refuse_incomparable(found, score_rows(found), allow_missing=allow_missing)


def test_what_can_be_compared_is_let_through():
    skipped = record("r", "reference", status=Status.skipped, areas={})
    check(record("a", "a"), record("b", "b"), record("a1", "a", seed=1), record("b1", "b", seed=1),
          skipped, replace(skipped, key="r1", config=skipped.config | {"seed": 1}))  # fmt: skip


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([record("x", "b", data={"train": "other"})], "different prompts"),
        ([record("x", "b", evaluation={"mean": ["Other", {}]})], "different recipes of mean"),
        ([record("x", "b", model={"files": "other"})], "different model files"),
        ([record("x", seed=1, data={"task": "edited"})], "different task data"),
        ([record("x", "b", config={"sizes": [0.5]})], "different sizes"),
        ([record("x", seed=1, versions={"task": 1, "method": 2, "ablation-bench": "1"})],
         "different method version"),
        ([record("x", versions={"task": 1, "method": 2, "ablation-bench": "1"})],
         "a and x are of one cell and seed"),
        ([record("x", "b", seed=1)], "2 cells are missing or failed, the first: method=b .*seed=0"),
        ([record("x", "b", status=Status.failed, areas={})], "method=b .* is failed"),
        ([record("x", "b", "docstring")], "2 cells are missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(others, message):
    with pytest.raises(UserError, match=message) as refused:
        check(record("a"), *others)
    assert ("--allow-missing" in str(refused.value)) == (
        "method=b" in message or "cells" in message
    )


def test_seeds_of_edited_data_are_not_pooled_even_if_some_may_be_missing():
    before, after = (record(f"{n}", seed=n, data={"task": f"{n}"}) for n in (0, 1))
    with pytest.raises(UserError, match="0 and 1 of ioi on toy have different task data"):
        check(before, after, allow_missing=True)


def test_a_sweep_over_numbers_of_prompts_or_sizes_is_labelled():
    few, many = (record(f"{n}", config={"n_train": n}) for n in (8, 64))
    labels = all_labels([few, many, record("s", "b", config={"sizes": [0.5]}), record("t", "b")])
    assert [labels[key]["task"] for key in ("8", "64")] == ["ioi n_train=8", "ioi n_train=64"]
    assert {labels[key]["method"] for key in "st"} == {"b sizes=[0.5]", "b sizes=[1.0]"}
    check(few, many)


def test_ablations_that_are_not_asked_for_are_no_holes():
    found = results(record("a", "a"), record("b", "b"))
    rows = score_rows(found)
    found.labels["b"] = {**found.labels["b"], "method": "a", "ablation": "zero"}
    refuse_holes(found, rows[rows["key"] == "a"])

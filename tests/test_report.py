"""Tables on made-up records: labels, ranks, intervals, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmark.errors import UserError
from benchmark.record import Record, Status
from benchmark.report.comparable import refuse_what_cannot_be_compared
from benchmark.report.frame import Results, all_labels
from benchmark.report.leaderboard import DASH, leaderboard
from benchmark.report.published import published_curves
from benchmark.report.scores import Score
from benchmark.sizes import averaged_draws

SCORE = Score("cmd", 0.1)


def record(key, method="eap", task="ioi", seed=0, status=Status.done, **changes):
    names = dict(task=task, method=method, ablation="mean", model="toy")
    config = {kind: {"_target_": name} for kind, name in names.items()} | dict(
        seed=seed, n_train=8, n_test=8, sizes=[1.0], attribution_metric=None, training_steps=None
    )
    config |= changes.pop("config", {})
    made = Record(
        key=key,
        status=status,
        names=names,
        config=config,
        created="now",
        model={"files": "weights"},
        data={"train": f"train {seed}", "test": f"test {seed}"},
        areas={"mean": {}},
        evaluation={"mean": "recipe"},
        versions={"task": 1, "method": 1, "ablation-bench": "1"},
    )
    return replace(made, **changes)


def results(*records):
    return Results(
        {r.key: r for r in records}, all_labels(list(records)), pd.DataFrame(), damaged=()
    )


def scores(found, values=None):
    rows = [
        {
            **found.labels[r.key], "evaluation": "mean", "seed": r.config["seed"], "key": r.key,
            "value": (values or {}).get(r.key, 1.0), "low": np.nan, "high": np.nan,
            "part": "", "passes": 10.0, "seconds": 1.0,
        }
        for r in found.done
    ]  # fmt: skip
    return pd.DataFrame(rows)


def check(*records):
    found = results(*records)
    refuse_what_cannot_be_compared(found, scores(found))


def test_ranks_are_among_the_complete_and_dashes_have_none():
    found = results(
        record("a1", "a"), record("a2", "a", "docstring"),
        record("b1", "b"), record("b2", "b", "docstring"), record("c1", "c"),
    )  # fmt: skip
    values = {"a1": 0.3, "a2": 0.1, "b1": 0.2, "b2": 0.4, "c1": 0.0}
    table = leaderboard(scores(found, values), SCORE)
    assert list(table.index)[2] == "c"
    assert table.loc["c", "docstring"] == DASH == table.loc["c", "mean rank"]
    assert table.loc["c", "passes"] == DASH
    assert table.loc["a", "mean rank"] == table.loc["b", "mean rank"] == "1.50"


def test_seeds_are_averaged_with_students_interval():
    found = results(*(record(f"s{seed}", seed=seed) for seed in range(3)))
    table = leaderboard(scores(found, {"s0": 1.0, "s1": 2.0, "s2": 3.0}), SCORE)
    # t(0.975, 2) = 4.303; the standard error is 1 / sqrt(3).
    assert table.loc["eap", "ioi"] == "2.000 ±2.484"


def test_one_name_with_several_settings_has_several_labels():
    plain, other = record("a"), record("b", config={"method": {"_target_": "x", "absolute": True}})
    third = record("c", config={"training_steps": 5})
    labels = all_labels([plain, other, third])
    assert {label["method"] for label in labels.values()} == {
        "eap", "eap absolute=True", "eap training_steps=5",
    }  # fmt: skip
    assert all(label["task"] == "ioi" for label in labels.values())
    models = [record("a", config={"model": {"name": name, "device": name}}) for name in "xy"]
    assert all_labels([models[0], replace(models[1], key="b")])["b"]["model"] == "toy name=y"


def test_what_can_be_compared_is_let_through():
    skipped = record("r", "reference", status=Status.skipped, areas={})
    check(record("a", "a"), record("b", "b"), record("a1", "a", seed=1), record("b1", "b", seed=1),
          skipped, replace(skipped, key="r1", config=skipped.config | {"seed": 1}))  # fmt: skip


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([record("x", "b", data={"train": "other"})], "different prompts"),
        ([record("x", "b", evaluation={"mean": "other"})], "different recipes of mean"),
        ([record("x", "b", model={"files": "other"})], "different model files"),
        ([record("x", "b", config={"n_test": 9})], "different numbers of prompts"),
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
    assert "--allow-missing" in str(refused.value)


def test_draws_of_one_size_count_as_one_circuit():
    rows = pd.DataFrame(
        {
            "requested_edges": pd.array([10, 10, None], dtype="Int64"),
            "edges": [9, 10, 5],
            "loss_gap": [1.0, 3.0, 4.0],
            "loss_gap_low": [0.0, 2.0, 3.0],
            "loss_gap_high": [2.0, 4.0, 5.0],
        }
    )
    found = averaged_draws(rows).sort_values("edges")
    assert found["edges"].tolist() == [5, 9.5]
    assert found["loss_gap"].tolist() == [4.0, 2.0]


def test_published_points_are_those_of_the_paper():
    """The claims of Li & Janson 2024 that can be read off their own points."""
    points = published_curves()
    assert set(points["task"]) == {"ioi", "greater_than"}
    assert set(points["ablation"]) == {"optimal", "counterfactual", "mean", "resample"}

    def gap(task, ablation, method, edges):
        same = points[(points["task"] == task) & (points["ablation"] == ablation)]
        same = same[(same["method"] == method) & (same["edges"] == edges)]
        return same["loss_gap"].item()

    assert gap("ioi", "counterfactual", "ugs", 385) == 0.2204
    assert gap("ioi", "counterfactual", "acdc", 808) == 0.2106
    assert gap("ioi", "optimal", "reference", 963) == 0.0806
    assert gap("greater_than", "resample", "reference", 235) == 0.2914
    assert (points["loss_gap"] > 0).all() and points["provenance"].notna().all()


@pytest.mark.parametrize("changes", [("cdm", 0.1), ("z", 0.0)])
def test_scores_that_are_not_are_refused(changes):
    with pytest.raises(UserError, match=r"did you mean 'cmd'|is not a share"):
        Score(*changes)

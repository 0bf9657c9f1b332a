"""Tables on made-up records: labels, ranks, intervals, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.records import record, results

from benchmark.errors import UserError
from benchmark.records.record import Status
from benchmark.report.circuits.faithfulness import faithfulness_against_size
from benchmark.report.circuits.plots import gap_against_size
from benchmark.report.circuits.roc import roc
from benchmark.report.circuits.scores import Score, score_table, where_known
from benchmark.report.comparable import refuse_holes, refuse_mixtures
from benchmark.report.figures import Figures
from benchmark.report.frame import all_labels
from benchmark.report.kinds import of_each_kind
from benchmark.report.leaderboard import DASH, leaderboard
from benchmark.report.published.numbers import published_curves
from benchmark.report.style import LOOKS, look, save
from benchmark.statistics.areas import pessimistic_auroc
from benchmark.statistics.sizes import averaged_draws

SCORE = Score("cmd", 0.1)


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
    refuse_mixtures(found, scores(found))
    refuse_holes(found, scores(found))


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


def test_a_sweep_over_numbers_of_prompts_or_sizes_is_labelled():
    few, many = (record(f"{n}", config={"n_train": n}) for n in (8, 64))
    labels = all_labels([few, many, record("s", "b", config={"sizes": [0.5]}), record("t", "b")])
    assert [labels[key]["task"] for key in ("8", "64")] == ["ioi n_train=8", "ioi n_train=64"]
    assert {labels[key]["method"] for key in "st"} == {"b sizes=[0.5]", "b sizes=[1.0]"}
    check(few, many)


def test_ablations_that_are_not_asked_for_are_no_holes():
    found = results(record("a", "a"), record("b", "b"))
    rows = scores(found)
    found.labels["b"] = {**found.labels["b"], "method": "a", "ablation": "zero"}
    refuse_holes(found, rows[rows["key"] == "a"])


def test_draws_of_one_size_count_as_one_circuit():
    rows = pd.DataFrame(
        {
            "requested_size": pd.array([10, 10, None], dtype="Int64"),
            "size": [9, 10, 5],
            "loss_gap": [1.0, 3.0, 4.0],
            "loss_gap_low": [0.0, 2.0, 3.0],
            "loss_gap_high": [2.0, 4.0, 5.0],
        }
    )
    found = averaged_draws(rows).sort_values("size")
    assert found["size"].tolist() == [5, 9.5]
    assert found["loss_gap"].tolist() == [4.0, 2.0]


def test_published_points_are_those_of_the_paper():
    """The claims of Li & Janson 2024 that can be read off their own points."""
    points = published_curves()
    assert set(points["task"]) == {"ioi", "greater_than"}
    assert set(points["ablation"]) == {"optimal", "counterfactual", "mean", "resample"}

    def gap(task, ablation, method, edges):
        same = points[(points["task"] == task) & (points["ablation"] == ablation)]
        same = same[(same["method"] == method) & (same["size"] == edges)]
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


COST = {"method": dict.fromkeys(("forward", "backward", "seconds"), 1.0)}
AREAS = {"mean": {"cpr": 0.8, "cmd": 0.3}}


def curve(found, **columns):
    """Three circuits for each record, of which each contains the one before."""
    rows = pd.DataFrame(
        {
            "circuit": [0, 1, 2], "setting": ["a", "b", "c"], "evaluation": "mean",
            "requested_size": pd.array([10, 20, 50], dtype="Int64"), "size": [10, 20, 50],
            "loss_gap": [1.0, 0.5, 0.1], "loss_gap_low": [0.9, 0.4, 0.0],
            "loss_gap_high": [1.1, 0.6, 0.2], "faithfulness": [0.1, 0.5, 1.2],
            "edge_recall": [0.25, 0.5, 1.0], "edge_false_positive_rate": [0.0, 0.1, 0.4],
            "component_recall": [0.5, 0.5, 1.0], "component_false_positive_rate": [0.2, 0.3, 0.5],
            "n_edges": 100, **columns,
        }
    )  # fmt: skip
    return pd.concat(
        [rows.assign(**found.labels[r.key], key=r.key, seed=r.config["seed"]) for r in found.done],
        ignore_index=True,
    )


def recovered(*values, **changes):
    """A record for each pair of AUROCs, of seeds 0, 1, ..."""
    method = changes.pop("method", "eap")
    return [
        record(
            f"{method}{seed}", method, seed=seed, cost=COST, areas=AREAS, n_edges=100,
            recovery={"auroc_edges": edges, "auroc_components": nodes}, **changes,
        )
        for seed, (edges, nodes) in enumerate(values)
    ]  # fmt: skip


def drawn(found, **columns):
    return replace(found, tables=curve(found, **columns))


def test_one_table_has_the_aurocs_of_edges_and_components():
    pairs = recovered((0.7, 0.5), (0.9, 0.5)), recovered((0.4, 0.6), (0.4, 0.8), method="random")
    unknown = replace(record("d", "eap", "docstring", cost=COST), areas=AREAS)
    found = drawn(results(*pairs[0], *pairs[1], unknown, replace(unknown, key="e", names=
        unknown.names | {"method": "random"})))  # fmt: skip
    score = Score("auroc", 0.1)
    rows = score_table(found, score)
    assert list(rows["part"].unique()) == ["edges", "components"] and rows["key"].nunique() == 6
    table = leaderboard(where_known(rows, score), score)
    assert list(table.columns[:2]) == ["components", "edges"]
    # t(0.975, 1) = 12.706; the standard error is 0.1.
    assert table.loc["eap", "edges"] == "0.800 ±1.271"
    assert table.loc["random", "components"] == "0.700 ±1.271"
    assert table.loc["eap", "mean rank"] == "1.50"


def test_aurocs_stand_once_whatever_circuits_are_evaluated_under():
    two = recovered((0.7, 0.5), evaluation={"zero": "recipe"})[0]
    two = replace(two, areas={"zero": AREAS["mean"], "resample": AREAS["mean"]})
    found = drawn(results(two))
    rows = score_table(found, Score("auroc", 0.1))
    assert rows["evaluation"].tolist() == ["mean", "mean"]
    refuse_mixtures(found, rows)


def test_faithfulness_at_a_share_is_that_of_the_largest_circuit_within_it():
    found = drawn(results(*recovered((0.7, 0.5))))
    at = {
        share: score_table(found, Score("faithfulness", share))["value"].item()
        for share in (0.3, 0.5, 1.0)
    }
    assert at == {0.3: 0.5, 0.5: 1.2, 1.0: 1.0}
    # Nothing as small was measured, which is no faithfulness of zero.
    assert np.isnan(score_table(found, Score("faithfulness", 0.05))["value"].item())


def test_the_roc_averages_the_staircases_of_seeds():
    truth = np.array([1, 1, 0, 0, 0], dtype=bool)
    seeds = [np.array(circuits, dtype=bool) for circuits in (
        [[1, 0, 1, 0, 0], [1, 1, 1, 1, 0]], [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])]  # fmt: skip
    rates = {
        kind: {"recall": found[:, truth].mean(1), "false_positive_rate": found[:, ~truth].mean(1)}
        for kind, found in enumerate(seeds)
    }
    rows = pd.concat(
        pd.DataFrame({f"{kind}_{rate}": values for kind in ("edge", "component")
                      for rate, values in rates[seed].items()}).assign(key=seed, method="eap")
        for seed in rates
    )  # fmt: skip
    edges, components = roc(rows, "title").axes
    x, y = (np.asarray(values) for values in edges.lines[0].get_data())
    area = np.mean([pessimistic_auroc(found, truth) for found in seeds])
    assert np.diff(x) @ y[:-1] == pytest.approx(area)
    assert edges.lines[0].get_label() == f"eap  {area:.2f}, {area:.2f}"
    assert components.get_xlabel() == "false-positive rate (components)"


def test_faithfulness_is_drawn_as_the_mean_over_seeds():
    found = results(*recovered((0.5, 0.5), (0.5, 0.5)), *recovered((1.0, 1.0), method="reference"))
    rows = curve(found).assign(cpr=0.8, cmd=0.3)
    rows.loc[rows["seed"] == 1, "faithfulness"] += 0.2
    published = pd.DataFrame(dict(method=["eap"], model="gpt2", size=[30.0], faithfulness=[0.33]))
    (axes,) = faithfulness_against_size(rows, "title", published).axes
    lines = {line.get_label(): line for line in axes.lines}
    mean = lines["eap  CPR 0.80, CMD 0.30"]
    assert mean.get_ydata() == pytest.approx([0.2, 0.6, 1.3])
    overlay = lines["eap (published, gpt2, task metric)"]
    assert overlay.get_linestyle() == ":" != mean.get_linestyle()
    assert lines["reference"].get_marker() == "x"
    (axes,) = faithfulness_against_size(rows.assign(faithfulness=9.0), "title").axes
    assert axes.get_ylim()[1] < 3 and "cut off" in axes.get_ylabel()


@pytest.mark.slow
def test_pictures_of_recovery_and_faithfulness_need_what_they_show(monkeypatch, tmp_path):
    found = drawn(results(*recovered((0.7, 0.5)), *recovered((0.6, 0.5), method="reference")))
    settings = ("results", None, "cmd", 0.1, False, False)

    def stems(curves, place):
        loaded = {"circuits": replace(found, tables=curves)}
        monkeypatch.setattr("benchmark.report.figures.load_kinds", lambda *_: loaded)
        Figures(*settings, str(tmp_path / place)).run()
        return {path.stem.split("_")[0] for path in (tmp_path / place).iterdir()}

    assert stems(found.tables, "all") == {"gap", "faithfulness", "roc", "cost", "map"}
    assert set(pd.read_csv(tmp_path / "all" / "roc_ioi_toy_mean.csv")["method"]) == {"eap"}
    without = found.tables.drop(
        columns=[c for c in found.tables if c.startswith(("edge_", "node"))]
    )
    assert stems(without.assign(faithfulness=np.nan), "some") == {"gap", "cost", "map"}


def test_every_method_has_a_look_of_its_own():
    marks = {(own.colour, own.mark) for own in LOOKS.values()}
    dashes = {(own.colour, own.dash) for own in LOOKS.values()}
    assert len(marks) == len(dashes) == len(LOOKS)
    assert all(own.dash != ":" for own in LOOKS.values())
    assert look("eap component").colour == look("eap").colour
    assert look("eap component") != look("eap") == LOOKS["eap"]
    assert look("something else") == look("something else")


@pytest.mark.parametrize("edges", [[0, 110], [110], [0]])
def test_a_panel_without_a_circuit_between_empty_and_whole_is_drawn_all_the_same(tmp_path, edges):
    rows = pd.DataFrame({"method": "eap", "size": edges, "n_edges": 110})
    rows = rows.assign(loss_gap=0.5, loss_gap_low=0.4, loss_gap_high=0.6)
    paths = save(gap_against_size(rows, "nothing to see"), rows, tmp_path / "gap")
    assert all(path.stat().st_size > 0 for path in paths)


def test_a_share_of_edges_is_headed_as_given():
    assert Score("loss_gap", 0.034).title.endswith("at 3.4 % of edges")


def test_a_kind_that_cannot_be_compared_spares_the_others():
    loaded = {"circuits": results(), "components": results()}

    def make(kind, found):
        if kind == "circuits":
            raise UserError("cells are missing")
        return [kind]

    assert of_each_kind(loaded, make) == (
        ["components"],
        ["nothing on circuits: cells are missing"],
    )
    with pytest.raises(UserError, match="cells are missing"):
        of_each_kind({"circuits": results()}, make)


def test_pictures_refuse_what_tables_refuse(monkeypatch, tmp_path):
    found = drawn(results(*recovered((0.7, 0.5)), record("x", "b", data={"train": "other"})))
    loaded = {"circuits": found}
    monkeypatch.setattr("benchmark.report.figures.load_kinds", lambda *_: loaded)
    with pytest.raises(UserError, match="different prompts"):
        Figures(str(tmp_path), None, "log_area", 0.1, False, False, str(tmp_path)).run()
    assert not list(tmp_path.iterdir())

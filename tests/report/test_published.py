"""What papers published: counts and spot values, sound columns, and tables beside our own."""

from dataclasses import replace
from importlib.resources import files

import pandas as pd
import pytest
from support.made.records import of_gpt2, record, results

from benchmark.config import configured_names
from benchmark.report.circuits.beside import published_rows, published_tables
from benchmark.report.layout.looks import looks
from benchmark.report.leaderboard import Leaderboard
from benchmark.report.published import numbers as published
from benchmark.report.published.belonging import published_cells, published_model
from benchmark.report.published.numbers import (
    COLUMNS,
    COMPONENTS,
    FILES,
    PROVENANCE,
    TRACING,
    published_curves,
    published_faithfulness,
    published_points,
    published_scores,
)
from benchmark.report.score import Score

SCORES = published_scores()
MIB = {("ioi", model) for model in ("gpt2", "qwen2.5-0.5b", "llama-3.1-8b")}
# What numbers of a metric may be; faithfulness and CPR overshoot.
RANGES = {
    "auroc_edges": (0, 1), "auroc_edges_pessimistic": (0, 1),
    "auroc_components_pessimistic": (0, 1), "faithfulness": (-0.1, 1.2),
    "pearson_with_exact": (0, 1),
    "logit_difference": (0, 5), "component_precision": (0, 1), "component_recall": (0, 1),
    "edge_precision": (0, 1), "edge_recall": (0, 1), "loss_gap": (0, 5), "accuracy": (0, 1),
    "seconds": (1, 20_000), "cmd": (0, 1), "cpr": (0, 11), "jaccard_over_bootstrap": (0, 1),
}  # fmt: skip
# Models, tasks and methods that we have no option for.
OTHER_MODELS = {
    "attn-only-4l", "tracr-xproportion", "tracr-reverse", "interpbench", "mean over models",
}  # fmt: skip
OTHER_TASKS = {"arithmetic", "arc_easy", "arc_challenge", "mean over tasks"}
OTHER_METHODS = {
    "hybrid ensemble", "parallel ensemble", "sequential ensemble", "ILP, PNR and bootstrap",
    "ILP and bootstrap", "isolated path effect", "mask-optimised ranking",
}  # fmt: skip


def value(**where):
    rows = SCORES
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    return rows["value"].item()


def test_every_number_is_there_once():
    counts = [len(published._read(name)) for name in FILES]
    assert counts == [138, 278, 11, 11, 186, 18]
    assert not SCORES.drop(columns="value").duplicated().any()
    folder = files("benchmark.report.published")
    tables = {entry.name for entry in folder.iterdir() if entry.name.endswith(".csv")}
    assert tables == {*FILES, COMPONENTS, TRACING, "optimal_ablation.csv"}


def test_every_number_is_in_its_range_and_has_a_size_of_its_kind():
    assert set(SCORES["metric"]) == set(RANGES)
    for metric, (low, high) in RANGES.items():
        assert SCORES.loc[SCORES["metric"] == metric, "value"].between(low, high).all(), metric
    for size in set(SCORES["size"]) - {""}:
        assert 0 < float(size) < 1 if "." in size else int(size) >= 1


def test_names_are_those_of_our_options_where_there_are_such():
    assert set(SCORES["model"]) - OTHER_MODELS <= set(configured_names("model"))
    assert set(SCORES["task"]) - OTHER_TASKS <= set(configured_names("task"))
    assert set(SCORES["ablation"]) - {""} <= set(configured_names("ablation"))
    methods = {name.removesuffix(" component") for name in SCORES["method"]}
    assert methods - OTHER_METHODS <= set(looks().methods)
    of_family = [
        task.startswith(family) or family == "all"
        for task, family in zip(SCORES["task"], SCORES["family"], strict=True)
    ]
    assert all(of_family)


def test_spot_values_are_those_of_the_papers():
    acdc = dict(where="table 2", objective="kl", metric="auroc_edges_pessimistic")
    assert value(**acdc, task="ioi_single_template", method="acdc") == 0.869
    assert value(**acdc, task="docstring", method="hisp") == 0.805
    zero = dict(where="table 3", metric="auroc_edges_pessimistic", objective="task")
    assert value(**zero, task="reversal", method="acdc") == 1.0
    curve = dict(metric="faithfulness", model="gpt2", objective="task", size="500")
    assert value(**curve, task="agreement", method="eap_ig") == 0.80
    assert value(**curve, task="agreement", method="eap") == 0.0
    pearson = dict(metric="pearson_with_exact", task="greater_than")
    assert [value(**pearson, method=name) for name in ("eap", "eap_ig")] == [0.71, 0.97]
    pruned = dict(metric="loss_gap", note="200 training prompts")
    assert [value(**pruned, method=name) for name in ("edge_pruning", "eap")] == [0.25, 3.47]
    mib = dict(model="gpt2", task="ioi_io_flip", ablation="counterfactual", provenance="P")
    assert [value(**mib, metric=name, method="eap") for name in ("cmd", "cpr")] == [0.03, 1.20]
    assert value(metric="auroc_edges", model="interpbench", method="eap_ig_activations") == 0.81
    assert (
        value(source="BlackboxNLP 2025 shared task", metric="cpr", method="ILP and bootstrap")
        == 2.5
    )


def test_the_older_table_and_copies_do_not_pass_for_a_paper():
    older = SCORES["where"].str.contains("older")
    assert older.sum() == 42 and set(SCORES[older]["provenance"]) == {"R"}
    copied = SCORES["where"].str.contains("copies")
    assert set(SCORES[copied]["provenance"]) == {"3"}
    assert not SCORES[SCORES["provenance"] != "P"]["where"].str.startswith("table").any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(provenance="?"), "the provenance '\\?', not P, R or 3"),
        (dict(source=""), "a row without source"),
        (dict(value="high"), "could not convert"),
    ],
)
def test_a_damaged_file_is_refused(monkeypatch, tmp_path, change, message):
    row = dict.fromkeys(COLUMNS, "x") | {"provenance": "P", "value": "1"} | change
    pd.DataFrame([row]).to_csv(tmp_path / "one.csv", index=False)
    monkeypatch.setattr(published, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match=message):
        published._read("one.csv")


def test_a_file_with_other_columns_is_refused(monkeypatch, tmp_path):
    (tmp_path / "one.csv").write_text("source,value\nx,1\n")
    monkeypatch.setattr(published, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match=r"one\.csv has the columns"):
        published._read("one.csv")


def test_numbers_of_a_score_are_those_of_the_same_tasks():
    rows = published_rows(Score("cmd", 0.1), MIB)
    assert set(rows["family"]) == {"ioi"} and set(rows["metric"]) == {"cmd"}
    assert set(rows["model"]) == {"gpt2", "qwen2.5-0.5b", "llama-3.1-8b"}
    assert set(rows["provenance"]) <= set(PROVENANCE.values())
    first, *_ = published_tables(rows, Score("cmd", 0.1))
    title, table = first.title, first.table
    assert title == (
        "published, by a protocol of its own: "
        "Mueller et al. 2025 (MIB), arXiv 2504.13151, CMD table (paper): cmd, ioi_io_flip"
    )
    assert table.loc["eap (counterfactual)", "qwen2.5-0.5b"] == "0.15"
    assert table.loc["exact (counterfactual)", "llama-3.1-8b"] == "-"
    assert published_rows(Score("cmd", 0.1), {("reversal", "gpt2")}).empty
    assert published_rows(Score("cmd", 0.1), {("ioi", "gpt2-xl")}).empty
    assert published_rows(Score("z", 0.1), MIB).empty


def test_a_record_is_of_a_published_model_if_its_weights_are():
    made = of_gpt2(record("a"))
    assert published_model(made) == "gpt2"
    assert published_cells([made, record("b", family="ioi")]) == {("ioi", "gpt2")}
    settings = made.config["model"]
    for changes in (dict(name="here/mine"), dict(revision="older"), dict(name="gpt2-medium")):
        other = replace(made, config=made.config | {"model": settings | changes})
        assert published_model(other) is None
    # A folder may have any name.
    assert published_model(replace(made, model={"files": "digest"})) is None


@pytest.mark.slow
def test_every_published_number_has_one_cell_of_a_table():
    cells = set(zip(SCORES["family"], SCORES["model"], strict=True))
    for name in ("auroc", "cmd", "cpr", "faithfulness", "loss_gap"):
        score = Score(name, 0.1)
        rows = published_rows(score, cells)
        made = published_tables(rows, score)
        assert len({one.words for one in made}) == len(made)
        shown = sum(int((one.table != "-").to_numpy().sum()) for one in made)
        assert shown == sum(len(one.data) for one in made) == len(rows) > 0


def test_curves_are_those_of_the_model_alone():
    small = published_faithfulness("greater_than", "gpt2", "counterfactual", 479)
    assert set(small["method"]) == {"eap", "eap_ig", "eap_ig kl", "exact"}
    assert set(small["model"]) == {"gpt2"} and small["size"].min() == 30
    assert published_faithfulness("greater_than", None, "counterfactual", 479).empty
    assert len(published_curves("ioi", "gpt2", "optimal")) > 0
    assert published_curves("ioi", None, "optimal").empty
    large = published_faithfulness("greater_than", "gpt2-xl", "counterfactual", 1000)
    assert set(large["size"]) == {4.0, 40.0} and set(large["model"]) == {"gpt2-xl"}
    assert published_faithfulness("greater_than", "gpt2", "mean", 1000).empty


def test_a_leaderboard_shows_them_apart(monkeypatch, tmp_path):
    cost = {"method": dict.fromkeys(("forward", "backward", "seconds"), 1.0)}
    found = results(of_gpt2(record("a", cost=cost, areas={"mean": {"cmd": 0.5}})))
    found.tables["key"] = found.tables["evaluation"] = []
    monkeypatch.setattr(
        "benchmark.report.leaderboard.load_kinds", lambda *_, **__: {"circuits": found}
    )
    for shown in (False, True):
        place = str(tmp_path / str(shown))
        Leaderboard(
            "results", None, None, None, "cmd", 0.1, None, False, shown, None, False, place
        ).run()
    ours, beside = (
        {path.name: path.read_text() for path in (tmp_path / name).iterdir()}
        for name in ("False", "True")
    )
    theirs = set(beside) - set(ours)
    assert len(theirs) >= 3 and all(name.startswith("published_cmd_") for name in theirs)
    assert all(beside[name] == text for name, text in ours.items())
    assert all("arXiv" in beside[name] for name in theirs)


def test_published_points_are_those_of_the_paper():
    """The claims of Li & Janson 2024 that can be read off their own points."""
    points = published_points()
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

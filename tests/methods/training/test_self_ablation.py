"""The study of trained models on a model of the zoo, and its report on records."""

import shutil

import numpy as np
import pytest
from support.prompts import random_batch

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.method.problem import Problem
from benchmark.models.loading import load_model
from benchmark.report.frame import load
from benchmark.report.kinds import figures_of, tables_of
from benchmark.report.protocol import Asked
from benchmark.run.from_python import run_cell
from benchmark.zoo.cards import zoo_directory
from methods.training.report.published import published_runs, published_table
from methods.training.report.training import measure

EDGES = "acdc edges at 0.1"
QUICK = dict(
    thresholds=[0.03, 0.3], methods=["acdc", "eap_ig"], transfer=[[1], [2]], n_text=20,
    length=8, sae_steps=5, expansion=2,
)  # fmt: skip


def studied(model, place, **changes):
    return run_cell(
        "ioi", "self_ablation", "counterfactual", model=model, n_train=6, n_test=6,
        changes={"method": QUICK | changes}, results_dir=str(place),
    )  # fmt: skip


@pytest.mark.slow
def test_one_record_of_one_model_and_its_table(tmp_path):
    found = studied("tiny_gpt2", tmp_path)
    results = load(tmp_path, kind="training")
    (record,) = results.done
    assert {"perplexity", "hoyer", "sae_l0", "mean_weight", "acdc tau=0.03"} <= set(record.summary)
    assert record.summary["acdc edges at 0.1"] <= 110
    table, published = tables_of(results, Asked(published=True))
    assert table.table.loc["records"].tolist() == ["1"]
    assert published.table.loc["baseline", "edges"] == "79"
    names = [figure.words[0] for figure in figures_of(results)]
    assert names == ["training_size", "training_gap"]
    assert len(found.table)
    edges = measure(results, results.done, EDGES)[record.key]
    assert edges.low <= edges.value <= edges.high and edges.value == record.summary[EDGES]
    assert np.isnan(measure(results, results.done, "ugs edges at 0.1")[record.key].value)


@pytest.mark.slow
def test_circuits_of_two_ways_of_training_are_drawn_side_by_side(tmp_path):
    other = shutil.copytree(zoo_directory("tiny_gpt2"), tmp_path / "models" / "local_seed0")
    for model in ("tiny_gpt2", str(other)):
        studied(model, tmp_path / "results", methods=["acdc"], transfer=[], sae_steps=1)
    results = load(tmp_path / "results", kind="training")
    drawn = next(x for x in figures_of(results) if x.words[0] == "training_circuits")
    sizes = {record.summary["acdc tau=0.03"] for record in results.done}
    assert set(drawn.data.groupby("training").size()) == sizes and len(sizes) == 1
    assert set(drawn.data["training"]) == {"tiny_gpt2", "local"}
    assert len(drawn.figure.axes) == 2


def test_records_of_one_model_under_other_settings_are_not_pooled_as_seeds(tmp_path):
    for n_text in (20, 30):
        studied("tiny_gpt2", tmp_path, methods=["random"], transfer=[], n_text=n_text)
    (table,) = tables_of(load(tmp_path, kind="training"), Asked())
    assert table.table.loc["records"].tolist() == ["1", "1"]
    assert all(f"n_text={n_text}" in " ".join(table.table) for n_text in (20, 30))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(methods=[]), r"method.methods=\[\] is empty"),
        (dict(levels=[]), r"method.levels=\[\] is empty"),
        (dict(methods=["causal_tracing"]), "'causal_tracing', which finds no circuits"),
        (dict(methods=["random"], sources=["foo"]), "task.sources has 'foo'; write GROUP/NAME"),
        (dict(thresholds=0.03), r"it is a list; write thresholds=\[0.03\]"),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        problem = Problem.of(
            load_model("tiny_gpt2", device="cpu"), [random_batch(d_vocab=40)],
            ablation="counterfactual",
        )  # fmt: skip
        study = configured("method", "self_ablation", **(QUICK | changes))
        study.study(problem, [random_batch(d_vocab=40)])


def test_published_runs_are_eighteen_and_a_baseline():
    runs = published_runs()
    assert len(runs) == 19
    table = published_table()
    assert table.loc["global k=2", "runs"] == "3"
    assert table.loc["global k=2", "edges"] == "40 [30, 51]"
    # As the spec of the runs says: 45.0 +- 17.6 over ten, 38.8 +- 10.6 over eight.
    means = runs.groupby("gates")["edges"].agg(["mean", "std"]).round(1)
    assert means.loc["global"].tolist() == [45.0, 17.6]
    assert means.loc["local"].tolist() == [38.8, 10.6]

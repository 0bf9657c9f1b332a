"""The study of trained models on a model of the zoo, and its report on records."""

import pytest

from benchmark.report.frame import load
from benchmark.report.kinds import figures_of, tables_of
from benchmark.report.protocol import Asked
from benchmark.run.from_python import run_cell
from methods.training.report.published import published_runs, published_table

QUICK = dict(
    thresholds=[0.03, 0.3], methods=["acdc", "eap_ig"], transfer=[[1], [2]], n_text=20,
    length=8, sae_steps=5, expansion=2,
)  # fmt: skip


@pytest.mark.slow
def test_one_record_of_one_model_and_its_table(tmp_path):
    found = run_cell(
        "ioi", "self_ablation", "counterfactual", model="tiny_gpt2", changes={"method": QUICK},
        n_train=6, n_test=6, results_dir=str(tmp_path),
    )  # fmt: skip
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

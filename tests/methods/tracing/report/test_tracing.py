"""The report of causal tracing, from a small grid of records."""

from dataclasses import replace

import pandas as pd
import pytest

from benchmark.report.frame import load_kinds
from benchmark.report.kinds import figures_of, tables_of
from benchmark.report.layout.pictures import save
from benchmark.report.protocol import Asked
from benchmark.report.published.numbers import published_effects
from benchmark.run.from_python import run_cell
from methods.tracing.report.plots import effects_by_layer

ABLATIONS = ("gaussian", "optimal")
SETTINGS = {"windows": [1, 3], "grid_window": 3, "draws": 2, "pictures": 2}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracing")
    constants = dict(steps=1, learning_rate=0.01, batch_size=10)
    for ablation in ABLATIONS:
        run_cell(
            "capital_of_country", "causal_tracing", ablation, model="toy_llama",
            changes={"method": SETTINGS}, constants=constants,
            n_train=10, n_test=8, results_dir=str(folder), threads=1,
        )  # fmt: skip
    return load_kinds(folder)["tracing"]


@pytest.mark.slow
def test_corruptions_stand_side_by_side(results):
    top, sharpness, levels = tables_of(results)
    assert list(top.table.columns) == ["optimal", "gaussian"]
    assert list(top.table.index[:3]) == [
        "states, last subject token", "states, all subject tokens", "states, last token",
    ]  # fmt: skip
    assert len(top.table) == 5 * 3
    # The last state of the last token brings everything back.
    assert top.table.loc["states, last token", "gaussian"].startswith("3: 1.000 [1.000, 1.000]")
    assert len(sharpness.table) == 2 * 5 * 3
    assert list(sharpness.table["corruption"][:2]) == ["optimal", "gaussian"]
    assert list(levels.table["facts"]) == ["8", "8"]


def test_what_the_paper_reports_is_a_table_of_its_own_beside_its_own_model(results, monkeypatch):
    made = tables_of(results, Asked(published=True))
    assert not any("published" in table.words for table in made)
    monkeypatch.setattr("methods.tracing.report.tracing.published_model", lambda _: "gpt2-xl")
    (table,) = [
        table for table in tables_of(results, Asked(published=True)) if "published" in table.words
    ]
    assert table.table.loc["attention, 5 layers, last token", "optimal"].startswith("32: 0.432")
    assert table.table.loc["MLPs, 1 layer, all subject tokens", "gaussian"].startswith("0: 0.699")


@pytest.mark.slow
def test_pictures_of_layers_tokens_and_facts(results, tmp_path):
    made = list(figures_of(results, Asked(published=True)))
    names = ["_".join(figure.words) for figure in made]
    assert [name for name in names if "_fact_" not in name] == [
        "tracing_last_subject_capital_of_country_toy_llama",
        "tracing_all_subject_capital_of_country_toy_llama",
        "tracing_last_capital_of_country_toy_llama",
        "tracing_tokens_capital_of_country_toy_llama_optimal",
        "tracing_tokens_capital_of_country_toy_llama_gaussian",
    ]
    assert sum("_fact_" in name for name in names) == 2 * 2
    by_layer = made[0]
    assert [axes.get_title() for axes in by_layer.figure.axes] == [
        "states", "attention, window of 1 layer", "attention, window of 3 layers",
        "MLPs, window of 1 layer", "MLPs, window of 3 layers",
    ]  # fmt: skip
    lines = [line.get_label() for line in by_layer.figure.axes[0].get_lines()]
    assert lines[:2] == ["optimal", "gaussian"]
    of_fact = next(figure for figure in made if "fact" in figure.words)
    ticks = [tick.get_text() for tick in of_fact.figure.axes[0].get_yticklabels()]
    starred = [tick.endswith("*") for tick in ticks]
    assert starred[0] and not starred[-1]
    noisy = next(f for f in made if "tokens" in f.words and "gaussian" in f.words)
    assert "noise of 3 s.d. of subjects' embeddings" in noisy.figure.get_suptitle()
    for figure in (by_layer, of_fact, noisy):
        paths = save(figure.figure, figure.data, tmp_path / "picture")
        assert all(path.stat().st_size for path in paths)


def test_without_a_grid_there_are_pictures_of_layers_alone(results):
    rows = results.tables
    layers = rows[rows["part"].isin(["layer", "sharpness"])].dropna(axis=1, how="all")
    made = list(figures_of(replace(results, tables=layers)))
    assert [figure.words[1] for figure in made] == ["last_subject", "all_subject", "last"]


def test_published_effects_are_drawn_beside_their_own_model():
    rows = pd.DataFrame(
        {"restored": "attention", "window": 5, "where": "last", "layer": range(48)}
    ).assign(value=0.1, low=0.0, high=0.2)
    figure = effects_by_layer({"optimal": rows}, "last", "title", published_effects())
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["optimal", "gaussian, published", "optimal, published"]
    points = figure.axes[0].get_lines()[2]
    # The largest of optimal is layer 32 of the paper's axis, which is layer 33.
    found = dict(zip(points.get_xdata(), points.get_ydata(), strict=True))
    assert found[33.0] == 0.432


def test_the_published_effects_are_those_of_the_history():
    rows = published_effects()
    assert set(rows["model"]) == {"gpt2-xl"}
    assert rows["value"].between(0, 1).all()
    place = ["restored", "window", "tokens", "ablation", "layer"]
    assert not rows.duplicated(place).any()
    chosen = rows[(rows["restored"] == "mlp") & (rows["window"] == 9) & (rows["tokens"] == "last")]
    top = chosen[chosen["ablation"] == "optimal"].nlargest(1, "value").iloc[0]
    assert (top["layer"], top["value"]) == (34, 0.233)

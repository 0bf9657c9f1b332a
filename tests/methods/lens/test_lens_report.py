"""Tables and pictures of lenses, and a prompt's trajectory."""

from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.figure import Figure
from support.command import run_in_fork

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.models.loading import load_model
from benchmark.report.frame import load_kinds
from benchmark.report.kinds import figures_of, tables_of
from benchmark.report.protocol import Asked
from methods.lens.judging.chosen import chosen_lens
from methods.lens.report.lens import compared, figures, tables
from methods.lens.report.overall import lenses_called
from methods.lens.report.published import published_losses
from methods.lens.trajectory import draw_trajectory, trajectory


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lenses")
    run_in_fork(
        "run", "-m", "model=tiny_gpt2", "task=zoo_text", "method=logit_lens,mean_lens",
        "ablation=counterfactual", "n_train=40", "n_test=20", "seed=0,1", "method.lengths=[4,8]",
        "method.every_position=true", "threads=1", f"results_dir={folder}",
    )  # fmt: skip
    return load_kinds(folder)["lens"]


@pytest.mark.slow
def test_lenses_of_one_text_stand_side_by_side(results):
    short, long = compared(results)
    assert (short.length, long.length) == (4, 8)
    rows = results.tables[(results.tables["length"] == 8) & (results.tables["layer"] == 1)]
    lens = rows["method"].str.split(" ").str[0]
    means = rows.groupby(lens)["loss"].agg(["mean", "min", "max"])
    for row in long.losses[long.losses["layer"] == 1].itertuples():
        pooled = means.loc[row.method]
        assert (row.loss, row.loss_low, row.loss_high) == pytest.approx(tuple(pooled))
    shown = {table.words: table.table for table in tables(results, Asked())}
    overall = shown["lenses", "zoo_text", "tiny_gpt2", "8tokens"]
    assert set(overall.index) == {"logit_lens", "mean_lens"}
    everywhere = shown["lens_loss_everywhere", "zoo_text", "tiny_gpt2", "8tokens"]
    of_cell = rows[lens.loc[rows.index] == "logit_lens"]["loss_everywhere"]
    assert everywhere.loc[1, "logit_lens"] == (
        f"{of_cell.mean():.3f} [{of_cell.min():.3f}, {of_cell.max():.3f}]"
    )
    assert list(overall["parameters"].sort_index()) == ["0", "64"]
    assert [len(figure.data) for figure in figures(results, Asked())] == [4, 4, 4]


def test_published_losses_stand_beside_their_own_model_alone(results):
    assert published_losses("zoo/toy_gpt2").empty
    theirs = published_losses("openai-community/gpt2")
    oca = theirs[theirs["lens"] == "oca_lens"]
    assert oca["loss"].iloc[[0, -1]].tolist() == [2.196, 0.029]
    assert oca["layer"].tolist() == list(range(12))
    assert not any(
        "published" in table.words[0] for table in tables(results, Asked(published=True))
    )


def test_a_trajectory_is_what_each_layer_says_after_each_token():
    model = load_model("tiny_gpt2")
    lens = configured("method", "logit_lens").fit(model, [])
    rows = trajectory({"logit": lens}, "Mary went to the")
    assert len(rows) == 3 * 5
    last = rows[rows["layer"] == 2]
    said = model.hugging_face(
        model.tokenizer("<|endoftext|> Mary went to the", return_tensors="pt").input_ids
    ).logits.softmax(-1)[0]
    assert last["probability"].tolist() == pytest.approx(said.max(-1).values.tolist(), rel=1e-4)
    assert last["token"].tolist()[1:] == ["Mary", "went", "to", "the"]
    assert isinstance(draw_trajectory(rows), Figure)
    assert isinstance(draw_trajectory(rows, colour="entropy"), Figure)
    with pytest.raises(UserError, match="is not one of probability, entropy"):
        draw_trajectory(rows, colour="rank")
    with pytest.raises(UserError, match="lenses of one model"):
        trajectory({}, "Mary")
    assert isinstance(rows, pd.DataFrame)


@pytest.fixture(scope="module")
def faithfulness(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faithfulness")
    run_in_fork(
        "run", "-m", "model=tiny_gpt2", "task=zoo_text", "method=lens_faithfulness",
        "method.lens=logit_lens,mean_lens", "ablation=counterfactual", "n_train=40", "n_test=8",
        "method.directions=4", "method.levels=[0.1,0.3]", "threads=1", f"results_dir={folder}",
        "method.interventions=[resample,local_perturbation]",
    )  # fmt: skip
    return load_kinds(folder)["lens_faithfulness"]


def test_effects_of_lenses_stand_side_by_side_and_local_losses_by_level(faithfulness, monkeypatch):
    overall, local, effects = tables_of(faithfulness)
    assert overall.table["correlation of log effects"].astype(float).between(-1, 1).all()
    assert dict(overall.table["parameters"]) == {"logit_lens": "0", "mean_lens": "64"}
    for record in faithfulness.done:
        loss = faithfulness.tensor(record.key, "loss").mean()
        shown = overall.table.loc[record.config["method"]["lens"], "mean KL(model || lens), nats"]
        assert shown.startswith(f"{loss:.3f} [")
    rows = faithfulness.tables
    mean = rows[(rows["intervention"] == "local_perturbation") & (rows["level"] == 0.3)]
    of_lens = mean[mean["method"].str.contains("mean_lens")]["loss"].mean()
    assert local.table.loc["mean_lens", "0.3 nats"] == f"{of_lens:.3f}"
    assert list(effects.table.columns) == ["resample"]
    assert set(effects.table.index) == {"logit_lens", "mean_lens"}
    by_layer, by_level = figures_of(faithfulness)
    assert [len(figure.figure.axes) for figure in (by_layer, by_level)] == [2, 1]
    assert len(by_level.figure.axes[0].get_lines()) == 2
    monkeypatch.setattr("methods.lens.report.published.source_of", lambda _: "owner/gpt2-xl")
    *_, theirs = tables_of(faithfulness, Asked(published=True))
    assert theirs.table.loc["oca_lens", "local_perturbation, 0.05, loss"] == "0.72"
    assert theirs.table.loc["tuned_lens", "resample, magnitude_correlation"] == "0.549"
    by_layer, by_level = figures_of(faithfulness, Asked(published=True))
    level = {line.get_label(): line.get_xydata() for line in by_level.figure.axes[0].get_lines()}
    assert level["oca_lens (published)"][0].tolist() == [0.05, 0.72]
    mean = {line.get_label(): line.get_ydata()[0] for line in by_layer.figure.axes[0].get_lines()}
    assert mean["tuned_lens (published)"] == 0.549


def test_settings_that_differ_part_records_of_one_lens_and_twins_are_refused(faithfulness):
    one, other = faithfulness.done
    settings = one.config["method"]
    changed = {"method": settings | {"directions": 9}}
    labels = faithfulness.labels[one.key]
    longer = labels | {"method": f"{labels['method']} steps=9"}

    def named(label):
        twin = replace(one, key="twin", config=one.config | changed)
        return replace(
            faithfulness,
            records={one.key: one, other.key: other, "twin": twin},
            labels=faithfulness.labels | {"twin": label},
        )

    assert set(lenses_called(named(longer)).values()) == {
        "logit_lens", "mean_lens", f"{settings['lens']} steps=9",
    }  # fmt: skip
    with pytest.raises(UserError, match="are of one lens and seed, run with different settings"):
        tables_of(named(labels))


@pytest.mark.slow
def test_a_prompts_trajectory_is_a_table_a_lens_and_a_picture_with_panels(tmp_path):
    run_in_fork(
        "run", "model=tiny_gpt2", "task=zoo_text", "method=lens_trajectory", "n_train=20",
        "ablation=counterfactual", "n_test=2", "method.lenses=[logit_lens,mean_lens]", "threads=1",
        "method.prompt='Mary went to the'", f"results_dir={tmp_path}",
    )  # fmt: skip
    found = load_kinds(tmp_path)["lens_trajectory"]
    logit, mean = tables_of(found)
    assert logit.table.index.tolist() == ["0", "1", "model"]
    assert logit.table.columns.tolist()[1:] == ["1 Mary", "2 went", "3 to", "4 the"]
    assert logit.table.loc["model"].tolist() == mean.table.loc["model"].tolist()
    model = load_model("tiny_gpt2")
    lens = configured("method", "logit_lens").fit(model, [])
    alone = trajectory({"logit_lens": lens}, "Mary went to the")
    own = found.tables[found.tables["lens"] == "logit_lens"]
    assert own["probability"].tolist() == pytest.approx(alone["probability"].tolist())
    assert [len(one.figure.axes) for one in figures_of(found)] == [3, 3]
    with pytest.raises(UserError, match=r"method.lenses=\['a', 'a'\] must name one lens or more"):
        configured("method", "lens_trajectory", lenses=["a", "a"])
    with pytest.raises(
        UserError, match=r"method[.]lens=eap is no lens; give one of gradient_bias_lens"
    ):
        chosen_lens("eap", None)

"""The report of elicitation, from a small grid of records of a random model."""

from random import Random

import pytest

from benchmark.config import configured
from benchmark.models.random_models import random_config, save_random_model
from benchmark.pretraining.vocabulary import word_level_tokenizer
from benchmark.report.frame import load_kinds
from benchmark.report.kinds import figures_of, tables_of
from benchmark.report.layout.pictures import save
from benchmark.report.protocol import Asked
from benchmark.run.from_python import run_cell
from methods.lens.report.lens_elicitation import measure

pytestmark = pytest.mark.slow
TASKS = ("demonstrations", "demonstrations_made_up")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elicitation")
    draw = Random(0)
    tasks = [configured("task", name) for name in TASKS]
    texts = [task.text(draw) for task in tasks for _ in range(300)]
    tokenizer = word_level_tokenizer(texts, 64)
    config = random_config("gpt2", d_vocab=len(tokenizer), n_ctx=64)
    model = save_random_model(folder / "random", config)
    tokenizer.save_pretrained(model)
    for task in TASKS:
        for lens in ("logit_lens", "mean_lens"):
            run_cell(
                task, "lens_elicitation", "counterfactual", model=str(model), threads=1,
                changes={"method": {"lens": lens}, "task": {"demonstrations": 2}},
                n_train=20, n_test=30, results_dir=str(folder / "results"),
            )  # fmt: skip
    return load_kinds(folder / "results")["lens_elicitation"]


def test_lenses_stand_side_by_side_under_the_model(results):
    first, _ = tables_of(results)
    assert list(first.table.index) == ["logit_lens", "mean_lens"]
    assert first.table["model, wrong"].nunique() == 1
    rows = results.tables
    last = rows[(rows["layer"] == 2) & (rows["demonstrations"] == 2) & (rows["shown"] == "wrong")]
    of_task = last[last["task"].str.startswith("demonstrations demonstrations")]
    assert first.table.loc["logit_lens", "model, wrong"] == f"{of_task['accuracy'].iloc[0]:.3f}"


def test_pictures_are_by_layer_and_by_number_and_of_the_mean_over_tasks(results, tmp_path):
    made = list(figures_of(results))
    assert len(made) == 3 * 2 + 1
    assert [figure.words[1] for figure in made][-2:] == ["mean of 2 tasks", "gains"]
    gains = made[-1]
    assert len(gains.data) == 2 * 2 * 2
    shown = [line.get_xdata() for line in gains.figure.axes[0].get_lines()]
    assert sum(len(x) for x in shown) >= 4
    for figure in made[:2]:
        right, wrong = figure.figure.axes
        assert right.get_title() == "right demonstrations"
        assert len(wrong.get_lines()) == 3
        paths = save(figure.figure, figure.data, tmp_path / "picture")
        assert all(path.stat().st_size for path in paths)


def test_what_was_published_stands_beside_its_own_model_alone(results, monkeypatch):
    assert len(tables_of(results, Asked(published=True))) == 2
    monkeypatch.setattr("methods.lens.report.published.source_of", lambda _: "owner/gpt2-xl")
    *_, theirs = tables_of(results, Asked(published=True))
    drawn = figures_of(results, Asked(published=True))
    mean = next(one.figure for one in drawn if one.words[1] == "mean of 2 tasks")
    lines = mean.axes[1].get_lines()
    dotted = {
        line.get_label(): line.get_ydata()[0] for line in lines if line.get_linestyle() == ":"
    }
    assert dotted["tuned_lens, best layer (published)"] == 0.468
    assert theirs.table.loc["oca_lens", "mean of 15, wrong, best layer"] == "0.477"


@pytest.mark.parametrize("shown", ["right", "wrong"])
def test_claims_are_judged_by_what_other_prompts_than_those_of_the_choice_gain(results, shown):
    found = measure(results, results.done, f"gain_{shown}")
    assert len(found) == 4
    for key, measured in found.items():
        correct = results.tensor(key, f"correct/{shown}").astype(float)
        layer = (correct[:-1, ::2] - correct[-1, ::2]).mean(1).argmax()
        gained = correct[layer, 1::2] - correct[-1, 1::2]
        assert measured.value == pytest.approx(gained.mean())
        assert measured.low <= measured.value <= measured.high

"""The shipped models that ablate themselves, and their baselines: cards, gates, matched losses."""

from statistics import mean

import pytest
from support.paths import CONF

from benchmark.config import configured
from benchmark.evaluation.tasks import score_model
from benchmark.models.loading import load_model
from benchmark.pretraining.self_ablation.stored import GATES_FILE, with_gates
from benchmark.prompts.task import Split
from benchmark.zoo.cards import read_card, zoo_directory

WAYS = ["baseline", "matched", "local_k1", "local_k4", "global_k1", "global_k4"]
NAMES = [f"self_ablation/{way}_seed{seed}" for way in WAYS for seed in range(3)]
MOST_MB = 25


def test_three_seeds_of_each_way_ship_with_cards_and_are_those_of_the_experiment():
    folders = [zoo_directory(name) for name in NAMES]
    files = [file for folder in folders for file in folder.iterdir()]
    assert sum(file.stat().st_size for file in files) < MOST_MB * 1e6
    for name, folder in zip(NAMES, folders, strict=True):
        card = read_card(folder)
        assert card["name"] == name and card["edges"] == 1519
        assert card["command"].startswith("python scripts/train_zoo.py --config-name self_ablation")
        assert (folder / GATES_FILE).is_file() == (card["settings"]["gates"] != "none")
    experiment = (CONF / "experiment" / "self_ablation.yaml").read_text()
    assert all(name in experiment for name in NAMES)


def test_matched_baselines_have_about_the_loss_of_models_that_ablate_themselves():
    losses = {name: read_card(zoo_directory(name))["held_out"]["loss/clean"] for name in NAMES}

    def of(*ways):
        return mean(
            loss for name, loss in losses.items() if name.partition("/")[2].startswith(ways)
        )

    assert of("baseline") < of("matched")
    assert abs(of("matched") - of("local", "global")) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[::3])
def test_they_do_what_their_cards_say(name):
    model = load_model(name, device="cpu")
    for entry in read_card(zoo_directory(name))["scores"]:
        task = configured("task", entry["task"])
        found = score_model(model, task, Split.test, entry["n_prompts"]).facts()
        assert found["data"] == entry["data"]
        assert abs(found["accuracy"] - entry["accuracy"]) <= 0.011
    gated = with_gates(zoo_directory(name), model.hugging_face)
    assert (gated is None) == (entry_gates(name) == "none")


def entry_gates(name):
    return read_card(zoo_directory(name))["settings"]["gates"]

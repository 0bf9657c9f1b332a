"""The shipped models: they load, fit, and do what their cards say."""

import math

import pytest
import torch
from support.paths import ROOT
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmark.config import configured, configured_names
from benchmark.evaluation.tasks import score_model
from benchmark.models.loading import load_model
from benchmark.prompts.task import Split
from benchmark.zoo.cards import read_card, zoo_directory, zoo_names

TRAINED = [
    "facts_gpt2", "facts_llama", "icl_gpt2", "small_gpt2", "tiny_gpt2", "toy_gpt2", "toy_llama"
]  # fmt: skip
LARGEST_MB = 6
FEW = 110
# The least accuracy on held-out prompts of every model that is trained on the task, and of the
# larger model where that is more.
BARS = {
    "facts_made_up": 0.95,
    "demonstrations": 0.99,
    "demonstrations_sport": 0.99,
    "demonstrations_sentiment": 0.99,
    "demonstrations_made_up": 0.99,
    "ioi": 0.99,
    "ioi_io_flip": 0.99,
    "greater_than": 0.99,
    "docstring": 0.99,
    "gendered_pronoun": 0.99,
    "agreement": 0.99,
}
SMALL_BARS = {
    "induction": 0.99,
    "colour_copying": 0.99,
    "country_capital_mixed": 0.95,
    "capital_of_country": 0.95,
    "hypernymy_mixed": 0.95,
    "arithmetic_addition": 0.95,
    "arithmetic_subtraction": 0.95,
}


@pytest.fixture(scope="module", params=TRAINED)
def trained(request):
    return load_model(request.param, device="cpu")


def test_every_model_of_the_zoo_is_small_and_has_a_card_and_a_yaml():
    assert {*TRAINED, "fraction_of_x", "ioi_known_circuit", "reversal"} == set(zoo_names())
    for name in zoo_names():
        directory = zoo_directory(name)
        assert sum(file.stat().st_size for file in directory.iterdir()) < LARGEST_MB * 1e6
        card = read_card(directory)
        assert card["name"] == name
        assert {"command", "parameters", "edges", "versions", "scores"} <= set(card)
        assert card["command"].startswith("python scripts/")
        assert name in configured_names("model")
        readme = (directory / "README.md").read_text()
        assert all(score["task"] in readme for score in card["scores"])


def test_sizes_are_those_of_the_graph_formula():
    edges = {name: read_card(zoo_directory(name))["edges"] for name in zoo_names()}
    assert edges["toy_gpt2"] == 479
    assert edges["small_gpt2"] == 1519
    readme = (ROOT / "benchmark" / "README.md").read_text()
    for name, n_edges in edges.items():
        named = (line for line in readme.splitlines() if line.startswith("|"))
        row = next(line for line in named if f"`{name}`" in line.split("|")[1])
        assert f"{n_edges:,}" in row


@pytest.mark.slow
def test_models_do_what_their_cards_say(trained):
    for entry in read_card(zoo_directory(trained.name))["scores"]:
        task = configured("task", entry["task"])
        # Large sets are long to draw; the first prompts are the same in a smaller one.
        n_prompts = entry["n_prompts"] if entry["n_prompts"] <= FEW or task.name == "ioi" else FEW
        found = score_model(trained, task, Split.test, n_prompts).facts()
        assert (found["version"], found["metric"]) == (entry["version"], entry["metric"])
        whole = n_prompts == entry["n_prompts"]
        assert abs(found["accuracy"] - entry["accuracy"]) <= (0.003 if whole else 0.05)
        if whole:
            assert found["data"] == entry["data"]
            for key in ("clean", "corrupted"):
                assert math.isclose(found[key], entry[key], rel_tol=1e-3, abs_tol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_models_reach_the_bars_and_corruption_flips_or_destroys_the_answer(name):
    scores = {entry["task"]: entry for entry in read_card(zoo_directory(name))["scores"]}
    for task, entry in scores.items():
        bars = BARS | (SMALL_BARS if name == "small_gpt2" else {})
        assert entry["accuracy"] >= bars.get(task, 0.85), (task, entry["accuracy"])
        if entry["flipped"] is not None:
            assert entry["flipped"] >= 0.85, (task, entry["flipped"])
        # Of what the clean prompt gives, at most a fifth is left.
        assert entry["corrupted"] < 0.2 * entry["clean"], task
    if "greater_than" in scores:
        assert scores["greater_than"]["clean"] >= 0.8


def test_any_tool_of_hugging_face_loads_them():
    directory = zoo_directory("toy_gpt2")
    model, tokenizer = (
        kind.from_pretrained(directory) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    text = "When Mary and John got a ring at the house, John decided to give it to"
    ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer.encode(text)]])
    assert tokenizer.decode([model(ids).logits[0, -1].argmax()]) == "Mary"

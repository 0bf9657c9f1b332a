"""A real language model: what is known of SmolLM2 with 135 million parameters comes out here."""

import pytest
import torch

from benchmark.config import configured
from benchmark.evaluation.tasks import score_model
from benchmark.forward.passes import clean_logits
from benchmark.graph.shape import Shape
from benchmark.models.loading import load_model
from benchmark.prompts.task import Split

pytestmark = [pytest.mark.slow, pytest.mark.pretrained]


def most_likely(model, prompt: str) -> tuple[str, float]:
    """The next token that the model finds most likely, and its probability."""
    logits = clean_logits(model, torch.tensor([model.tokenizer(prompt)["input_ids"]]))
    probability, token = logits[0, -1].softmax(-1).max(-1)
    return model.tokenizer.decode(token), float(probability)


def test_its_shape_is_that_of_smollm2(pretrained):
    assert pretrained.shape == Shape(
        n_layers=30, n_heads=9, n_key_value_heads=3, d_model=576, d_head=64, d_mlp=1536,
        d_vocab=49_152, n_ctx=8192, parallel=False,
    )  # fmt: skip
    assert pretrained.graph.n_edges == 123_211
    assert pretrained.hugging_face.config.tie_word_embeddings


def test_it_knows_capitals_and_who_was_given_a_drink(pretrained):
    paris, of_paris = most_likely(pretrained, "The capital of France is")
    mary, of_mary = most_likely(
        pretrained, "When Mary and John went to the store, John gave a drink to"
    )
    assert (paris, mary) == (" Paris", " Mary")
    assert of_paris == pytest.approx(0.77, abs=0.01) and of_mary == pytest.approx(0.92, abs=0.01)


def test_years_are_read_digit_by_digit(pretrained):
    tokens = pretrained.tokenizer.tokenize("from the year 1721 to the year 17")
    assert tokens[3:8] == ["Ġ", "1", "7", "2", "1"] and tokens[-2:] == ["1", "7"]
    assert (
        pretrained.tokenizer.decode(pretrained.tokenizer("1721, ok?")["input_ids"]) == "1721, ok?"
    )


def test_it_finds_indirect_objects(pretrained):
    found = score_model(pretrained, configured("task", "ioi"), Split.validation, 200, 0)
    assert found.accuracy == pytest.approx(0.715, abs=0.01)
    assert found.clean == pytest.approx(4.2, abs=0.05)
    assert found.corrupted == pytest.approx(-0.2, abs=0.05)


def test_it_is_right_in_half_precision():
    """Thirty layers round by more than a wrong adapter of few layers errs; the check knows both."""
    model = load_model("smollm2-135m-q4", dtype="bfloat16")
    assert model.largest_logit_difference is not None and model.dtype is torch.bfloat16
    assert most_likely(model, "The capital of France is")[0] == " Paris"

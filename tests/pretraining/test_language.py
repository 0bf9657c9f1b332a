"""How models of the zoo are trained: alike on every run, on texts that hold nothing held out."""

from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file
from support.paths import CONF

from benchmark.config import build, configured
from benchmark.errors import UserError
from benchmark.models.loading import load_model
from benchmark.pretraining import language
from benchmark.pretraining.corpus import PADDING, make_corpus, zoo_tokenizer
from benchmark.pretraining.language import ZooTraining
from benchmark.pretraining.loop import cosine_schedule
from benchmark.prompts.task import Split
from benchmark.zoo.cards import read_card

ZOO = CONF / "zoo"


def tiny_training(directory, **changes):
    """Six steps of the smallest model's training."""
    from hydra import compose, initialize_config_dir
    from omegaconf import open_dict

    with initialize_config_dir(str(ZOO), version_base="1.3"):
        config = compose("train", overrides=["model=tiny_gpt2"])
    with open_dict(config):
        config.mixture = {"task/ioi": 0.5, "task/induction": 0.4, "text/filler": 0.1}
        config.early = {"task/induction": 1.0}
        config.update(
            {
                "directory": str(directory),
                "steps": 6,
                "checkpoint_every": 2,
                "warmup_steps": 1,
                "early_steps": 4,
                "texts_per_source": 100,
                "n_scored": 5,
                "scored": ["induction"],
            }
            | changes
        )
    return build(config, where="zoo")


def weights(directory):
    return load_file(directory / "tiny_gpt2" / "model.safetensors")


@pytest.mark.slow
def test_training_is_deterministic_and_resumes_bit_for_bit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmark.pretraining.corpus.VOCABULARY_TEXTS", 300)
    tiny_training(tmp_path / "whole").run("a command")
    assert "step 6: accuracy/induction" in capsys.readouterr().out
    checkpoint = tmp_path / "resumed" / "tiny_gpt2.checkpoint"

    backward, save, calls = ZooTraining._backward, language.save_zoo_model, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return backward(*arguments)

    monkeypatch.setattr(ZooTraining, "_backward", killed)
    with pytest.raises(KeyboardInterrupt):
        tiny_training(tmp_path / "resumed").run("a command")
    monkeypatch.setattr(ZooTraining, "_backward", backward)
    assert checkpoint.exists()
    monkeypatch.setattr(language, "save_zoo_model", killed)
    calls[:] = [None] * 3
    with pytest.raises(KeyboardInterrupt):
        tiny_training(tmp_path / "resumed").run("a command")
    monkeypatch.setattr(language, "save_zoo_model", save)
    tiny_training(tmp_path / "resumed").run("a command")
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    card = read_card(tmp_path / "resumed" / "tiny_gpt2")
    assert card["command"] == "a command"
    assert card["data_hash"] == read_card(tmp_path / "whole" / "tiny_gpt2")["data_hash"]
    assert card["scores"][0]["task"] == "induction"

    with pytest.raises(UserError, match="is of a run with other settings or data; delete it"):
        tiny_training(tmp_path / "resumed", seed=1).run("a command")
    tiny_training(tmp_path / "other", seed=1).run("a command")
    other = weights(tmp_path / "other")
    assert any(not torch.equal(whole[name], other[name]) for name in whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(steps=0), "steps=0 must be 1 or more"),
        (dict(mixture={"task/ioi": -1.0}, early={}), "shares of the corpus must be 0 or more"),
        (dict(mixture={"task/iio": 1.0}), "task=iio does not exist, did you mean 'ioi'"),
        (dict(tracking="ofline"), "tracking=ofline is not one of off, offline, online, did you"),
        (dict(mixture={"task/ioi": 1.0}, early={"task/docstring": 1.0}), "early names"),
        (dict(mixture={"metric/accuracy": 1.0}), "metric/accuracy writes no text"),
        (dict(scored=["iio"]), "task=iio does not exist, did you mean 'ioi'"),
        (dict(architecture={"model_type": "gpt2"}), "architecture.*pdrop=0.1 is dropout"),
        (dict(architecture={"model_type": "gtp2"}), "model_type=gtp2 cannot be used"),
        (dict(architecture={"model_type": "opt"}), "models of type 'opt' are not supported"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmark.pretraining.corpus.VOCABULARY_TEXTS", 100)
    with pytest.raises(UserError, match=message):
        tiny_training(tmp_path, **changes).run("a command")


@pytest.mark.slow
def test_a_corpus_depends_on_seed_and_step_alone_and_ends_every_text():
    sources = ["task/ioi", "text/filler"]
    tokenizer = zoo_tokenizer(sources, 64)

    def corpus(seed):
        shares = {"task/ioi": 1.0, "text/filler": 1.0}
        return make_corpus(shares, {"task/ioi": 1.0}, 10, tokenizer, 50, 64, seed)

    first, again, other = corpus(0), corpus(0), corpus(1)
    assert first.digest() == again.digest() != other.digest()
    for step in (0, 7, 50):
        halves = first.step(step, 20)
        for one, two in zip(halves, again.step(step, 20), strict=True):
            assert torch.equal(one, two)
        assert sum(len(half) for half in halves) == 20
        for half in halves:
            length = (half != PADDING).sum(1)
            assert int(length.max()) == half.shape[1]
            assert (half[:, 0] == tokenizer.bos_token_id).all()
            last = half[torch.arange(len(half)), length - 1]
            assert (last == tokenizer.eos_token_id).all()
            assert tokenizer.unk_token_id not in half
    # At the first step every text is of the early mixture, later half of them are.
    ioi = {tuple(row.tolist()) for row in first.texts["task/ioi"]}

    def share_of_ioi(step, n_texts):
        halves = first.step(step, n_texts)
        pad = torch.nn.functional.pad
        rows = torch.cat([pad(half, (0, 64 - half.shape[1]), value=PADDING) for half in halves])
        return sum(tuple(row) in ioi for row in rows.tolist()) / n_texts

    assert share_of_ioi(0, 40) == 1
    assert 0.4 < share_of_ioi(50, 400) < 0.6


@pytest.mark.slow
def test_training_texts_hold_no_held_out_prompt():
    from random import Random

    for option in ("agreement", "gender_bias", "ioi", "country_capital_mixed"):
        task = configured("task", option)
        held_out = set()
        tokenizer = load_model("toy_gpt2", device="cpu").tokenizer
        for split in (Split.validation, Split.test):
            rows = task.dataset(tokenizer, split, 40, or_fewer=True)
            held_out |= {*rows["clean"], *rows["corrupted"]}
        draw = Random(0)
        texts = [task.text(draw) for _ in range(500)]
        assert not any(text.startswith(prompt + " ") for text in texts for prompt in held_out)


def test_the_schedule_warms_up_and_falls_to_a_hundredth():
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = cosine_schedule(optimiser, warmup_steps=4, steps=20)
    rates = []
    for _ in range(20):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert all(a >= b for a, b in pairwise(rates[4:]))
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.01)

"""Training of models that ablate themselves: baseline, resume, export, settings."""

import pytest
import torch
from support.paths import CONF

from benchmark.config import build
from benchmark.errors import UserError
from benchmark.models.loading import load_model
from benchmark.pretraining.loop import cosine_schedule, decayed_apart
from benchmark.pretraining.saving import initial_model
from benchmark.pretraining.self_ablation.stored import GATES_FILE, with_gates
from benchmark.pretraining.self_ablation.training import SelfAblationTraining
from benchmark.tensors import read_tensors
from benchmark.zoo.cards import read_card

SMALL = {
    "architecture.num_layers": 2, "architecture.hidden_size": 16, "architecture.num_heads": 2,
    "architecture.intermediate_size": 32, "architecture.attention_types": "[[[global],2]]",
    "mixture": "{task/ioi: 0.5, text/filler: 0.5}", "scored": "[ioi]", "n_scored": 5, "steps": 6,
    "checkpoint_every": 3, "warmup_steps": 1, "texts_per_source": 60, "batch_size": 4,
}  # fmt: skip


@pytest.fixture
def training(tmp_path, monkeypatch):
    """Trainings of the smallest kind, whose files are below the test's own folder."""
    from hydra import compose, initialize_config_dir

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmark.pretraining.corpus.VOCABULARY_TEXTS", 200)
    monkeypatch.setattr("benchmark.pretraining.self_ablation.training.N_HELD_OUT", 10)

    def made(*typed, directory="zoo"):
        settings = [f"{key}={value}" for key, value in SMALL.items() if key != "mixture"]
        mixture = ["~early", "+early={}", "~mixture", f"+mixture={SMALL['mixture']}"]
        with initialize_config_dir(str(CONF / "zoo"), version_base="1.3"):
            place = f"directory={tmp_path / directory}"
            config = compose("self_ablation", [*mixture, *settings, place, *typed])
        return build(config, where="zoo")

    return made


def test_the_baseline_is_plain_training_step_for_step(training):
    run = training("recipe=baseline", "last_token_weight=1.0", "weight_decay=0.1")
    tokenizer, corpus = run._texts()
    mine = run._untrained(len(tokenizer)).double()
    plain = initial_model(run.architecture, len(tokenizer), run.seed).double()
    optimisers = []
    for model in (mine, plain):
        groups = decayed_apart(model, 0.1)
        optimiser = torch.optim.AdamW(groups, lr=run.learning_rate, betas=(0.9, 0.98))
        optimisers.append((model, optimiser, cosine_schedule(optimiser, 1, run.steps)))
    for step in range(run.steps):
        run._backward(mine, corpus, step)
        parts = [part.long() for part in corpus.step(step, run.batch_size)]
        n_targets = sum(int((part[:, 1:] >= 0).sum()) for part in parts)
        for part in parts:
            # Not its own loss, which is taken in float32.
            logits = plain(part.clamp(min=0)[:, :-1], use_cache=False).logits
            labels = part[:, 1:].flatten()
            total = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels, ignore_index=-1, reduction="sum"
            )
            (total / n_targets).backward()
        for model, optimiser, schedule in optimisers:
            torch.nn.utils.clip_grad_norm_(model.parameters(), run.clip)
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
        theirs = dict(plain.named_parameters())
        for name, weight in mine.model.named_parameters():
            assert torch.allclose(weight, theirs[name], rtol=1e-6, atol=1e-9), (step, name)


def test_a_self_ablating_model_starts_as_its_baseline(training):
    baseline = training("recipe=baseline")._untrained(100).model.state_dict()
    for recipe in ("local", "global"):
        own = training(f"recipe={recipe}")._untrained(100).model.state_dict()
        assert all(torch.equal(own[name], weight) for name, weight in baseline.items())


@pytest.mark.slow
def test_training_resumes_bit_for_bit_and_exports_the_clean_stream(training, tmp_path, monkeypatch):
    typed = ("recipe=local", "gates=both", "losses=code")
    finished = []
    saved = SelfAblationTraining._saved

    def kept(self, model, *rest):
        finished.append(model)
        return saved(self, model, *rest)

    monkeypatch.setattr(SelfAblationTraining, "_saved", kept)
    whole = training(*typed, directory="whole").run("a command")

    backward, calls = SelfAblationTraining._backward, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return backward(*arguments)

    monkeypatch.setattr(SelfAblationTraining, "_backward", killed)
    with pytest.raises(KeyboardInterrupt):
        training(*typed, directory="again").run("a command")
    resumed = training(*typed, directory="again").run("a command")
    for file in ("model.safetensors", GATES_FILE):
        one, other = (read_tensors(at / file, sealed=False)[0] for at in (whole, resumed))
        assert all(torch.equal(one[name], other[name]) for name in one)
    card = read_card(resumed)
    assert card["name"] == "self_ablation/local_k4_seed0"
    assert set(card["held_out"]) == {"loss/clean", "loss/ablated", "loss/reconstruction"}

    model, tokens = finished[0], torch.randint(0, 50, (2, 9))
    exported = load_model(resumed, device="cpu").hugging_face
    assert not any("gate" in name for name in exported.state_dict())
    streams = model(tokens)
    assert torch.allclose(exported(tokens).logits, model.logits(streams.clean.final), atol=1e-5)
    again = with_gates(resumed, exported)(tokens)
    assert torch.allclose(again.ablated.final, streams.ablated.final, atol=1e-5)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("gates=lokal", "gates=lokal is not one of none, local, global, both, did you mean"),
        ("k_attention=0", "k_attention=0 must be 1 to 15"),
        ("k_neurons=16", "k_neurons=16 must be 1 to 15"),
        ("temperature=0", "temperature=0.0 must be above 0"),
        ("soft=sigmoyd", "zoo.soft cannot be used"),
        ("architecture.model_type=gpt2", "model_type=gpt2 has no gates; only gpt_neo has"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(training, typed, message):
    with pytest.raises(UserError, match=message):
        training(typed)


def test_a_price_on_units_makes_them_small(training):
    def size(weight):
        run = training("recipe=l1", f"units_weight={weight}", directory=f"of_{weight}")
        tokenizer, corpus = run._texts()
        model = run._untrained(len(tokenizer))
        optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
        for step in range(4):
            run._backward(model, corpus, step)
            optimiser.step()
            optimiser.zero_grad()
        losses = [run._losses(model, part.long()) for part in corpus.step(0, 4)]
        assert all(set(found) == {"clean", "units"} for found in losses)
        return sum(found["units"].item() for found in losses)

    assert size(30.0) < 0.9 * size(1e-9)

"""The study: losses of every layer and length on held-out rows, as a record has them."""

from itertools import count

import pandas as pd
import pytest
import torch
from support.problems import problem, training_problem
from support.prompts import random_batch

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits
from benchmark.metric import KLDivergence
from methods.lens.fitted import lens_logits
from methods.lens.fitting.text import states_of
from methods.lens.fitting.training import _Training

HELD_OUT = [random_batch(n_prompts=6, n_positions=8, same_length=True, seed=5)]


def test_losses_are_the_divergence_metric_of_the_suite(gpt2):
    found = configured("method", "mean_lens").study(problem(gpt2), HELD_OUT)
    lens = configured("method", "mean_lens").fit(gpt2, problem(gpt2).batches)
    (batch,) = HELD_OUT
    clean = clean_logits(gpt2, batch.clean, batch.read_at)
    states = states_of(gpt2, HELD_OUT)
    for layer in range(gpt2.shape.n_layers):
        logits = lens_logits(lens, states.before[layer], layer)
        gap = KLDivergence()(logits, batch, clean)
        row = found.table[found.table["layer"] == layer].iloc[0]
        assert row["loss"] == pytest.approx(gap.mean().item())
        assert row["loss_low"] <= row["loss"] <= row["loss_high"]
        same = (logits.argmax(-1) == clean.argmax(-1)).double().mean().item()
        assert row["agreement"] == pytest.approx(same)
    assert found.cost.forward == 10
    assert found.judging.forward == 6
    assert found.summary["n_parameters"] == gpt2.shape.n_layers * gpt2.shape.d_model


def test_lengths_read_rows_cut_off_there(gpt2):
    found = configured("method", "logit_lens", lengths=[3, 8]).study(problem(gpt2), HELD_OUT)
    assert found.table["length"].tolist() == [3, 3, 8, 8]
    (batch,) = HELD_OUT
    short = torch.arange(6)
    cut = type(batch)(
        batch.clean[:, :3], batch.corrupted[:, :3], torch.full((6,), 3), torch.full((6,), 2),
        batch.answers, batch.wrong, batch.ids,
    ).select(short)  # fmt: skip
    alone = configured("method", "logit_lens").study(problem(gpt2), [cut])
    first = found.table[found.table["length"] == 3]
    pd.testing.assert_series_equal(first["loss"], alone.table["loss"], check_exact=False)
    assert pd.isna(alone.table["length"]).all()


def test_the_loss_everywhere_is_the_mean_over_real_positions_and_prompts(gpt2):
    held_out = [random_batch(n_prompts=5, seed=2)]
    lens = configured("method", "logit_lens", every_position=True, lengths=[1, 2])
    found = lens.study(problem(gpt2), held_out)
    (batch,) = held_out
    logits = clean_logits(gpt2, batch.clean)[batch.real]
    hidden = gpt2.hugging_face(batch.clean, output_hidden_states=True).hidden_states
    said = gpt2.hugging_face.lm_head(gpt2.hugging_face.transformer.ln_f(hidden[0]))[batch.real]
    gaps = (logits.softmax(-1) * (logits.log_softmax(-1) - said.log_softmax(-1))).sum(-1)
    wanted = torch.stack([own.mean() for own in gaps.split(batch.lengths.tolist())]).mean()
    assert found.table["layer"].tolist() == [0, 1, 0, 1]
    first = found.table[found.table["layer"] == 0]
    assert first["loss_everywhere"].tolist() == pytest.approx([wanted.item()] * 2)
    assert (first["everywhere_low"] <= first["loss_everywhere"]).all()


def test_a_lens_is_fitted_under_one_name_of_the_ablation(gpt2):
    lens = configured("method", "logit_lens")
    assert lens.unsupported(problem(gpt2)) is None
    assert "ablation=counterfactual" in lens.unsupported(problem(gpt2, "mean"))


@pytest.mark.parametrize(
    ("name", "killed_at"), [("tuned_lens", 13), ("oca_linear_lens", 11), ("oca_linear_lens", 33)]
)
def test_a_killed_study_goes_on_bit_for_bit(gpt2, tmp_path, monkeypatch, name, killed_at):
    monkeypatch.setattr("methods.lens.fitting.training.CHECKPOINT_EVERY", 8)
    own = {"oca_steps": 20} if name == "oca_linear_lens" else {}
    study = configured("method", name, steps=20, batch_size=6, **own)
    whole = study.study(training_problem(gpt2), HELD_OUT)
    real, steps = _Training.advance, count(1)

    def killed(self):
        if next(steps) == killed_at:
            raise KeyboardInterrupt
        real(self)

    given = training_problem(gpt2, work_folder=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(_Training, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            study.study(given, HELD_OUT)
    assert list(tmp_path.glob("*lens.checkpoint"))
    found = study.study(given, HELD_OUT)
    assert found.table.equals(whole.table)
    assert all(torch.equal(found.tensors[key], whole.tensors[key]) for key in whole.tensors)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("oca_lens", {}), ("oca_lens", {"start": "normal"})),
        (("tuned_lens", {}), ("oca_linear_lens", {"oca_steps": 2})),
    ],
)
def test_a_checkpoint_of_another_lens_is_refused(gpt2, tmp_path, first, second):
    text, path = problem(gpt2).batches, tmp_path / "lens.checkpoint"
    lenses = [configured("method", name, steps=2, **more) for name, more in (first, second)]
    lenses[0].fit(gpt2, text, checkpoint=path)
    with pytest.raises(UserError, match="was made with another model, text or settings"):
        lenses[1].fit(gpt2, text, checkpoint=path)


@pytest.mark.parametrize("lengths", [[], [0], [4, -1]])
def test_lengths_are_checked_before_a_lens_is_fitted(lengths):
    with pytest.raises(UserError, match="must be numbers of 1 or more, or null"):
        configured("method", "logit_lens", lengths=lengths)

"""The study: losses of every layer and length on held-out rows, as a record has them."""

import pandas as pd
import pytest
import torch
from support.problems import problem
from support.prompts import random_batch

from benchmark.config import configured
from benchmark.forward.passes import clean_logits
from benchmark.metric import KLDivergence
from methods.lens.fitted import lens_logits
from methods.lens.fitting.text import states_of

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


def test_the_loss_everywhere_is_the_mean_over_all_real_positions(gpt2):
    held_out = [random_batch(n_prompts=5, seed=2)]
    found = configured("method", "logit_lens", every_position=True).study(problem(gpt2), held_out)
    (batch,) = held_out
    logits = clean_logits(gpt2, batch.clean)[batch.real]
    hidden = gpt2.hugging_face(batch.clean, output_hidden_states=True).hidden_states
    said = gpt2.hugging_face.lm_head(gpt2.hugging_face.transformer.ln_f(hidden[0]))[batch.real]
    wanted = (logits.softmax(-1) * (logits.log_softmax(-1) - said.log_softmax(-1))).sum(-1).mean()
    assert found.table["loss_everywhere"].iloc[0] == pytest.approx(wanted.item())


def test_a_lens_is_fitted_under_one_name_of_the_ablation(gpt2):
    lens = configured("method", "logit_lens")
    assert lens.unsupported(problem(gpt2)) is None
    assert "ablation=counterfactual" in lens.unsupported(problem(gpt2, "mean"))

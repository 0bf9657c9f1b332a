"""Elicitation: where labels come next, calibrated accuracy, and what a lens makes of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.problems import problem
from support.prompts import random_batch

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.forward.passes import clean_logits
from benchmark.method.problem import Problem
from benchmark.models.loading import load_model
from benchmark.prompts.task import Split
from methods.lens.judging.calibrated import calibrated, of_labels
from methods.lens.judging.demonstrations import Slots, labels_of
from methods.lens.report.boosts import Boost
from methods.lens.report.published import published_elicitation, published_faithfulness

LABELS = (40, 41, 42)


def shown(n_prompts=12, n_demonstrations=2, seed=0):
    """Prompts of "input label" pairs, of which the corrupted ones have the next label."""
    draw = torch.Generator().manual_seed(seed)
    width = 2 * n_demonstrations + 1
    batch = random_batch(d_vocab=40, n_prompts=n_prompts, n_positions=width + 1, seed=seed)
    number = torch.randint(3, (n_prompts, n_demonstrations + 1), generator=draw)
    at = torch.arange(n_demonstrations) * 2 + 2
    clean, corrupted = batch.clean.clone(), batch.clean.clone()
    clean[:, at] = LABELS[0] + number[:, :-1]
    corrupted[:, at] = LABELS[0] + (number[:, :-1] + 1) % 3
    others = (number[:, -1:] + torch.tensor([[1, 2]])) % 3
    full = torch.full((n_prompts,), width + 1)
    return replace(
        batch, clean=clean, corrupted=corrupted, lengths=full, read_at=full - 1,
        answers=LABELS[0] + number[:, -1:], wrong=LABELS[0] + others,
    ), number  # fmt: skip


def test_labels_say_themselves_where_they_stand():
    batch, number = shown()
    labels = labels_of([batch])
    assert tuple(labels.tolist()) == LABELS
    slots = Slots.of(batch, labels)
    assert slots.places.int().tolist() == [[0, 1, 0, 1, 0, 1]] * len(batch)
    assert torch.equal(slots.right, number)


def test_prompts_that_are_no_demonstrations_are_refused():
    batch, _ = shown()
    labels = labels_of([batch])
    same = replace(batch, corrupted=batch.clean)
    other = batch.corrupted.clone()
    other[0, 1] = 5 if int(other[0, 1]) != 5 else 6
    fewer = batch.corrupted.clone()
    fewer[0, 2] = batch.clean[0, 2]
    for changed, message in (
        (same, "differ in more, or less, than labels of demonstrations; give task=demonstrations"),
        (replace(batch, corrupted=other), "differ in more, or less"),
        (replace(batch, corrupted=fewer), r"prompts have \[1, 2\] demonstrations"),
    ):
        with pytest.raises(UserError, match=message):
            Slots.of(changed, labels)


def test_calibrated_accuracy_forgives_a_label_that_is_always_favoured():
    # Two labels, the first of which always gets most; it gets more where it is right.
    right = torch.tensor([0, 0, 1, 1])
    favoured = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    assert (favoured.argmax(-1) == right).double().mean() == 0.5
    assert calibrated(favoured, right).tolist() == [1, 1, 1, 1]
    assert calibrated(favoured, 1 - right).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("n_labels", [2, 3, 5])
def test_chance_is_one_of_the_labels_whether_all_is_noise_or_all_alike(n_labels):
    draw = torch.Generator().manual_seed(1)
    right = torch.randint(n_labels, (20_000,), generator=draw)
    noise = torch.rand(20_000, n_labels, generator=draw, dtype=torch.float64)
    p = noise / noise.sum(-1, keepdim=True)
    assert calibrated(p, right).mean() == pytest.approx(1 / n_labels, abs=0.015)
    alike = torch.full((6, n_labels), 1 / n_labels, dtype=torch.float64)
    assert calibrated(alike, right[:6]).tolist() == pytest.approx([1 / n_labels] * 6)


def test_the_models_own_accuracy_is_that_of_its_logits(gpt2):
    batch, number = shown(n_prompts=30)
    study = configured("method", "lens_elicitation", lens="logit_lens")
    found = study.study(problem(gpt2), [batch])
    labels = torch.tensor(LABELS)
    rows = found.table.set_index(["shown", "demonstrations", "layer"])["accuracy"]
    for kind, tokens in (("right", batch.clean), ("wrong", batch.corrupted)):
        logits = clean_logits(gpt2, tokens)
        for slot, position in enumerate((1, 3, 5)):
            p = of_labels(logits[:, position].log_softmax(-1), labels)
            wanted = calibrated(p, number[:, slot]).mean()
            assert rows[kind, slot, gpt2.shape.n_layers] == pytest.approx(float(wanted))
    assert set(found.table["demonstrations"]) == {0, 1, 2}
    assert found.tensors["correct/wrong"].shape == (gpt2.shape.n_layers + 1, 30)
    # Before the first label both prompts are the same.
    first = found.table[found.table["demonstrations"] == 0].set_index(["shown", "layer"])
    assert first.loc["right", "accuracy"].equals(first.loc["wrong", "accuracy"])


def test_batches_change_nothing_and_the_authors_model_is_the_last_lens(gpt2):
    batch, _ = shown(n_prompts=24)
    parts = batch.split(7)
    ours, divided, theirs = (
        configured("method", "lens_elicitation", lens="mean_lens", paper_compat=compat)
        .study(problem(gpt2), given)
        .table
        for given, compat in (([batch], False), (parts, False), ([batch], True))
    )
    np.testing.assert_allclose(ours["accuracy"], divided["accuracy"], atol=1e-12)
    last = gpt2.shape.n_layers
    at = {
        layer: theirs[theirs["layer"] == layer]["accuracy"].tolist() for layer in (last - 1, last)
    }
    assert at[last] == at[last - 1]
    assert ours[ours["layer"] == last]["accuracy"].tolist() != at[last]


@pytest.mark.slow
def test_a_layer_of_the_model_that_ships_knows_better_than_its_last():
    model = load_model("icl_gpt2", device="cpu")
    task = configured("task", "demonstrations_made_up")
    study = configured("method", "lens_elicitation", lens="logit_lens")
    held_out = [task.batch(model.tokenizer, Split.test, 60)]
    found = study.study(Problem.of(model, held_out), held_out)
    assert not found.warnings
    right, wrong = (found.tensors[f"correct/{kind}"].mean(1) for kind in ("right", "wrong"))
    assert right[1] > 0.8 and right[-1] > 0.8
    assert wrong[1] > 0.8 and wrong[-1] < 0.1


def test_a_model_that_cannot_do_the_task_is_named(gpt2):
    batch, _ = shown(n_prompts=24)
    found = configured("method", "lens_elicitation", lens="logit_lens").study(
        problem(gpt2), [batch]
    )
    (warning,) = found.warnings
    assert "the model does not do the task: behind 2 right demonstrations" in warning


def test_a_gain_is_measured_on_prompts_that_did_not_choose_the_layer():
    random = np.random.default_rng(0)
    # Layers that are as good as the model: the largest gain is luck, the gain is none.
    correct = random.integers(0, 2, (13, 400)).astype(float)
    boost = Boost.of(correct)
    assert boost.largest > 0
    assert boost.low < 0 < boost.high
    correct[4] = 1.0
    boost = Boost.of(correct)
    assert boost.layer == 4
    assert boost.low > 0.3
    assert boost.value == pytest.approx(1 - correct[-1, 1::2].mean())


def test_what_was_published_is_of_its_own_models():
    assert published_elicitation("zoo/toy_gpt2").empty
    rows = published_elicitation("openai-community/gpt2-xl")
    place = (rows["dataset"] == "mean of 15") & (rows["shown"] == "wrong")
    best = rows[place & (rows["measure"] == "best layer")].set_index("lens")["value"]
    assert best.to_dict() == {"oca_lens": 0.477, "tuned_lens": 0.468}
    small = published_faithfulness("openai-community/gpt2")
    assert len(small) == 5 * 2 * 2
    chosen = small[(small["intervention"] == "resample") & (small["lens"] == "oca_lens")]
    assert chosen["value"].tolist() == [0.649, 0.592]
    assert set(published_faithfulness("gpt2-xl")["layer"]) == {"mean", "0", "12", "24", "36", "47"}

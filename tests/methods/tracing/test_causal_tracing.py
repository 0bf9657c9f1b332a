"""Causal tracing: its two ends, its corruptions, constants that lose least, bad input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.independent.tracing import TracingOracle, known_batch, tracing_problem
from support.prompts import random_batch

from benchmark.config import configured
from benchmark.effects.tracing.restoring import own_logits
from benchmark.effects.tracing.subjects import (
    first_positions,
    in_subject,
    subject_embeddings,
    token_embeddings,
    with_subjects,
)
from benchmark.effects.tracing.trace import Restored, clean_trace
from benchmark.errors import UserError
from benchmark.forward.layers import embedded
from benchmark.method.problem import Problem
from methods.tracing.causal_tracing import Sharing
from methods.tracing.constants import ConstantTraining, Recipe
from methods.tracing.corruption import NoiseSize, fitted_corruption
from methods.tracing.known_facts import known_facts
from methods.tracing.measures import answer_probability
from methods.tracing.places import Group, Where
from methods.tracing.tracer import Settings, Tracer

# The first numbers of the first prompt, in standard deviations.
NOISE = [-0.711978, -0.114038, -1.757136, 0.697502]
CORRUPTIONS = ("optimal", "gaussian", "mean", "zero", "resample")
QUICK = dict(steps=3, batch_size=4, learning_rate=0.01)
GROUP = Group(Restored.mlp, 1, Where.last_subject)


def study(model, ablation="mean", test=None, problem=None, **settings):
    settings = {"windows": [1, 2], "grid_window": 2, "draws": 2} | settings
    changes = QUICK if ablation == "optimal" else {}
    problem = problem or tracing_problem(model, ablation, **changes)
    test = known_batch(model) if test is None else test
    return configured("method", "causal_tracing", **settings).study(problem, [test])


def layers_of(found, part="layer"):
    return found.table[found.table["part"] == part]


def settings(**changes):
    standard = dict(
        severed=None, draws=2, noise=NoiseSize.subjects, shared=False, leaks=False, gigabytes=None
    )
    return Settings(**(standard | changes))


def subject_noise(model, batch, seed=0):
    """Embeddings of one row for every position."""
    draw = torch.Generator().manual_seed(seed)
    shape = 1, *batch.clean.shape, model.shape.d_model
    return torch.randn(shape, generator=draw, dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("ablation", CORRUPTIONS)
def test_every_family_and_corruption_gives_a_whole_table(model, ablation):
    found = study(model, ablation)
    n_layers = model.shape.n_layers
    layers = layers_of(found)
    # States of one layer, and two windows of attention and MLPs, at three tokens.
    assert len(layers) == 5 * 3 * n_layers
    # A random model may be surer of its answer about another subject; nothing is then brought back.
    lost = layers["clean_probability"] > layers["corrupted_probability"]
    assert (np.isfinite(layers["value"]) == lost).all()
    assert (layers["value"].dropna() <= 1 + 1e-9).all()
    # The last state of the last token is the clean run.
    last = layers[(layers["restored"] == "state") & (layers["where"] == "last")]
    assert last["probability"].iloc[-1] == pytest.approx(last["clean_probability"].iloc[-1])
    assert len(layers_of(found, "sharpness")) == 5 * 3 * 4
    assert set(layers_of(found, "token")["restored"]) == {"state", "attention", "mlp"}
    assert found.summary["known"] == found.summary["facts"] == 8
    assert found.cost.forward > 0


def test_restoring_agrees_with_hooks_from_the_tokens_on(gpt2):
    """From the noise on the token embedding to the probability of the answer."""
    batch = known_batch(gpt2)
    problem = tracing_problem(gpt2, "gaussian")
    tracer = Tracer(problem, known_batch(gpt2, 12, seed=1), [GROUP], settings())
    clean, measured = tracer.measured(batch)
    oracle, wte = TracingOracle(gpt2), gpt2.hugging_face.transformer.wte.weight
    corruption = fitted_corruption(
        gpt2, problem.ablation, known_batch(gpt2, 12, seed=1), 2, NoiseSize.subjects
    )
    draws = torch.stack([corruption.embedding(batch, draw) for draw in range(2)])
    positions = gpt2.hugging_face.transformer.wpe.weight
    for prompt, length in enumerate(batch.lengths.tolist()):
        tokens, (start, stop) = batch.clean[prompt, :length], batch.subject[prompt].tolist()
        known = wte[tokens] + positions[:length]
        answer = batch.answers[prompt, 0]
        assert clean.probability[prompt] == pytest.approx(
            float(oracle.run(tokens, known).softmax(-1)[answer]), abs=1e-10
        )
        for draw, noisy in enumerate(draws[:, prompt]):
            stream = known.clone()
            stream[start:stop] = noisy[start:stop] + positions[start:stop]
            for layer in range(gpt2.shape.n_layers):
                logits = oracle.restored(
                    tokens, known, stream, Restored.mlp, {layer}, stop - 1, stop
                )
                mine = measured[GROUP].probability[draw, layer, prompt]
                assert mine == pytest.approx(float(logits.softmax(-1)[answer]), abs=1e-10)


def test_only_the_tokens_of_the_subject_are_touched(model):
    batch, inside = known_batch(model), in_subject(known_batch(model))
    stream = with_subjects(model, batch, subject_noise(model, batch))[0]
    clean = embedded(model, batch.clean)
    assert torch.equal(stream[~inside], clean[~inside])
    assert not torch.isclose(stream[inside], clean[inside]).all(-1).any()
    # With their own embeddings, prompts are as they were.
    same = with_subjects(model, batch, token_embeddings(model, batch.clean)[None])
    torch.testing.assert_close(same[0], clean, atol=1e-12, rtol=0)


@pytest.mark.parametrize("ablation", ["gaussian", "resample"])
def test_draws_of_a_prompt_do_not_depend_on_the_others(gpt2, ablation):
    train, batch = known_batch(gpt2, 12, seed=1), known_batch(gpt2)
    chosen = configured("ablation", ablation)
    corruption = fitted_corruption(gpt2, chosen, train, 3, NoiseSize.subjects)
    together = corruption.streams(gpt2, batch)
    for rows in (torch.tensor([3]), torch.tensor([7, 0])):
        some = batch.select(rows).trimmed()
        alone = corruption.streams(gpt2, some)
        assert torch.equal(alone, together[:, rows, : some.n_positions])
    assert not torch.equal(together[0], together[1])


def test_noise_is_the_same_on_every_machine(gpt2):
    batch = known_batch(gpt2, 2)
    corruption = fitted_corruption(
        gpt2, configured("ablation", "gaussian"), batch, 1, NoiseSize.subjects
    )
    deviation = 3 * subject_embeddings(gpt2, batch).std()
    noise = (corruption.embedding(batch, 0) - token_embeddings(gpt2, batch.clean)) / deviation
    start = int(batch.subject[0, 0])
    first = [round(x, 6) for x in noise[0, start, :4].tolist()]
    assert first == NOISE


def test_the_size_of_noise_is_that_of_the_papers(gpt2):
    train, many = known_batch(gpt2, 40, seed=1), known_batch(gpt2, 60, seed=2)
    chosen, inside = configured("ablation", "gaussian", scale=2.0), in_subject(many)
    clean = token_embeddings(gpt2, many.clean)
    wte, wpe = gpt2.hugging_face.transformer.wte.weight, gpt2.hugging_face.transformer.wpe.weight
    tokens = torch.cat(
        [row[a:b] for row, (a, b) in zip(train.clean, train.subject.tolist(), strict=True)]
    )
    by_dimension = torch.cat(
        [(wte[row] + wpe[: len(row)])[1:length]
         for row, length in zip(train.clean, train.lengths.tolist(), strict=True)]
    ).std(0)  # fmt: skip
    for size, wanted in (
        (NoiseSize.subjects, wte[tokens].std().expand_as(by_dimension)),
        (NoiseSize.first_stream, by_dimension),
    ):
        corruption = fitted_corruption(gpt2, chosen, train, 30, size)
        rows = torch.stack([corruption.embedding(many, draw) - clean for draw in range(30)])
        found = rows[:, inside].flatten(0, 1)
        torch.testing.assert_close(found.std(0), 2 * wanted.detach(), rtol=0.06, atol=0)
        assert found.mean().abs() < 0.05 * found.std()


def test_means_zero_and_donors_are_what_they_say(gpt2):
    train, batch = known_batch(gpt2, 12, seed=1), known_batch(gpt2)
    wte = gpt2.hugging_face.transformer.wte.weight.detach()
    inside, made = in_subject(batch), {}
    for name in ("mean", "zero", "resample"):
        corruption = fitted_corruption(
            gpt2, configured("ablation", name), train, 1, NoiseSize.subjects
        )
        rows = corruption.embedding(batch, 0).expand(*batch.clean.shape, -1)
        made[name] = rows[inside]
    tokens = train.clean[in_subject(train)]
    torch.testing.assert_close(made["mean"], wte[tokens].mean(0).expand_as(made["mean"]))
    assert not made["zero"].any()
    subjects = {
        tuple(row[a:b].tolist()) for row, (a, b) in zip(train.clean, train.subject, strict=True)
    }
    done = 0
    for row, (start, stop) in zip(batch.clean, batch.subject.tolist(), strict=True):
        donor = made["resample"][done : done + stop - start]
        done += stop - start
        found = tuple((wte[None] - donor[:, None]).abs().sum(-1).argmin(1).tolist())
        assert found in subjects
        assert found != tuple(row[start:stop].tolist())


def trained(model, facts, group=GROUP, **changes):
    recipe = Recipe(**(dict(steps=40, learning_rate=0.02, batch_size=8, seed=0, shared=False)
                       | changes))  # fmt: skip
    layers = (*group.layers(model.shape.n_layers), frozenset())
    return ConstantTraining(model, facts, group, layers, recipe)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_trained_constants_never_lose_more_than_mean_zero_and_resampled(models, family):
    model = models[family]
    facts = known_batch(model, 8, seed=1)
    training = trained(model, facts)
    best = training.losses(training.trained(None))
    tokens = subject_embeddings(model, facts)
    runs = len(best), model.shape.d_model
    assert (best <= training.losses(tokens.mean(0).expand(runs)) + 1e-12).all()
    assert (best <= training.losses(torch.zeros(runs, dtype=tokens.dtype)) + 1e-12).all()
    pooled = torch.stack([training.losses(one.expand(runs)) for one in tokens]).mean(0)
    assert (best < pooled).all()
    # Even without a step, the better of mean and zero is taken.
    lazy = trained(model, facts, steps=0)
    assert (lazy.losses(lazy.trained(None)) >= best - 1e-12).all()


def test_the_loss_is_the_fall_of_the_answers_probability(gpt2):
    facts = known_batch(gpt2, 5, seed=1)
    training = trained(gpt2, facts, batch_size=2)
    constants = torch.randn(3, gpt2.shape.d_model, dtype=torch.float64)
    clean, first = clean_trace(gpt2, facts), first_positions(facts)
    layers = (*GROUP.layers(2), frozenset())
    streams = with_subjects(gpt2, facts, constants[:, None, None])
    rows = own_logits(gpt2, facts, clean, streams, GROUP.restoration(facts, layers), first)
    answers = facts.answers[:, 0]
    wanted = answer_probability(clean.logits(gpt2, facts.read_at)[0], answers)
    fall = (wanted - answer_probability(rows, answers)).clamp(min=0).mean(1)
    torch.testing.assert_close(training.losses(constants), fall.detach(), atol=1e-12, rtol=0)


@pytest.mark.slow
def test_equal_constants_of_all_places_are_the_shared_constant(model):
    train, test = known_batch(model, 12, seed=1), known_batch(model)
    groups = [GROUP, Group(Restored.attention, 2, Where.last), Group(Restored.state, 1, Where.last)]
    problem = tracing_problem(model, "optimal", **(QUICK | {"steps": 0}))
    for severed in (None, Restored.attention):
        found = []
        for shared in (False, True):
            tracer = Tracer(problem, train, groups, settings(shared=shared, severed=severed))
            constant = torch.randn(model.shape.d_model, generator=torch.Generator().manual_seed(1))
            for group in groups:
                tracer.constants[group] = constant.double().expand_as(tracer.constants[group])
            found.append(tracer.measured(test)[1])
        for group in groups:
            for name in ("probability", "logit_difference", "kl"):
                own, common = (getattr(one[group], name) for one in found)
                torch.testing.assert_close(own, common, atol=1e-10, rtol=0)


@pytest.mark.slow
def test_batches_change_nothing(gpt2):
    few = {"restored": ["attention", "mlp"], "windows": [2], "where": ["last_subject"]}
    for ablation in ("resample", "optimal"):
        one, many = (
            study(gpt2, ablation, gigabytes=gigabytes, **few).table.select_dtypes("number")
            for gigabytes in (1.0, 1e-6)
        )
        np.testing.assert_allclose(
            *(table.to_numpy(float, na_value=np.nan) for table in (one, many)), atol=1e-10
        )


@pytest.mark.slow
def test_training_goes_on_from_kept_constants(gpt2, tmp_path):
    problem = tracing_problem(gpt2, "optimal", work_folder=tmp_path, **QUICK)
    whole = study(gpt2, problem=problem)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == 15
    (tmp_path / kept[0]).write_bytes(b"broken")
    with_kept = study(gpt2, problem=problem)
    assert with_kept.cost.backward < whole.cost.backward / 5
    assert with_kept.table.equals(whole.table)


@pytest.mark.slow
def test_severed_parts_and_shared_constants_are_settings(gpt2):
    for changes in ({"severed": "mlp"}, {"constants": "shared"}):
        found = study(gpt2, "optimal", windows=[2], where=["last_subject"], **changes)
        assert np.isfinite(layers_of(found)["probability"]).all()
    assert Sharing("shared") is Sharing.shared


@pytest.mark.slow
def test_as_in_the_authors_code_layer_0_is_dropped_and_the_corrupted_run_leaks(gpt2):
    ours, theirs = (study(gpt2, "mean", paper_compat=compat) for compat in (False, True))
    assert set(layers_of(theirs)["layer"]) == {0}
    assert set(layers_of(ours)["layer"]) == {0, 1}
    place = dict(restored="mlp", where="last", window=2)

    def row(found, layer):
        rows = layers_of(found)
        chosen = (rows[list(place)] == place).all(axis=1) & (rows["layer"] == layer)
        return rows[chosen].iloc[0]

    assert row(theirs, 0)["probability"] == pytest.approx(row(ours, 1)["probability"])
    # A window of two around the layer behind the last restores the last, in the corrupted run too.
    wide = ours.tensors["probability/mlp_2_last"], theirs.tensors["probability/mlp_2_last"]
    narrow = ours.tensors["probability/mlp_1_last"]
    torch.testing.assert_close(wide[1][:, -1], narrow[:, 1])
    assert not torch.allclose(wide[0][:, -1], wide[1][:, -1])


@pytest.mark.parametrize("severed", [None, "mlp"])
def test_the_grid_at_the_last_token_is_that_tokens_group_severed_alike(gpt2, severed):
    found = study(
        gpt2, ablation="mean", restored=["state", "attention"], windows=[1], where=["last"],
        grid=True, grid_window=1, severed=severed,
    )  # fmt: skip
    test = known_batch(gpt2)
    for what in ("state", "attention"):
        group = found.tensors[f"probability/{what}_1_last"][0, :-1]
        grid = found.tensors[f"grid/{what}"]
        at_last = grid[torch.arange(len(grid)), test.read_at.cpu()]
        assert torch.allclose(group, at_last.T, atol=1e-5)


def test_where_corruption_takes_nothing_no_number_is_given(gpt2):
    nothing = tracing_problem(gpt2, "gaussian", scale=0.0)
    found = study(gpt2, problem=nothing, windows=[1], grid=False)
    numbers = found.table.query("part == 'sharpness'")[["value", "low", "high"]]
    assert numbers.isna().all(axis=None)
    assert any("takes nothing of the answers' probability" in said for said in found.warnings)


def test_facts_that_the_model_does_not_know_are_left_out_and_counted(gpt2):
    test = known_batch(gpt2)
    answers = test.answers.clone()
    answers[2], answers[5] = test.wrong[2], test.wrong[5]
    wrong = test.wrong.clone()
    wrong[2], wrong[5] = test.answers[2], test.answers[5]
    found = study(gpt2, test=replace(test, answers=answers, wrong=wrong))
    assert (found.summary["facts"], found.summary["known"]) == (8, 6)
    assert found.warnings == ["2 of 8 facts are left out, as the model does not know them"]
    assert found.tensors["probability/clean"].shape == (6,)


def test_bad_input_is_one_line(gpt2):
    test = known_batch(gpt2)
    unknown = replace(test, answers=test.wrong, wrong=test.answers)
    whole = replace(test, subject=torch.stack([torch.ones(8, dtype=torch.long), test.lengths], 1))
    none = test.subject.clone()
    none[3] = 0
    for batch, message in (
        (unknown, "the model knows none of 8 facts"),
        (whole, "the subject of the prompt prompt 0 0 is the whole prompt"),
        (replace(test, subject=none), "the prompt prompt 0 3 has no subject"),
        (random_batch(), "needs prompts with a subject; give task=facts, or own data"),
    ):
        with pytest.raises(UserError, match=message):
            study(gpt2, test=batch)
    for changes, message in (
        ({"windows": [1, 3]}, r"method.windows=\[1, 3\] is above the 2 layers"),
        ({"grid_window": 5}, r"method.grid_window=5 is above the 2 layers"),
        ({"windows": [0]}, r"method.windows=\[0\] must be 1 or more"),
        ({"windows": [1, 1]}, r"method.windows needs one or more values, none of them twice"),
        ({"where": []}, r"method.where needs one or more values"),
        ({"severed": "state"}, r"method.severed=state is not possible"),
        ({"draws": 0}, r"method.draws=0 must be 1 or more"),
        ({"gigabytes": 0.0}, r"method.gigabytes=0.0 must be above 0"),
    ):
        with pytest.raises(UserError, match=message):
            study(gpt2, **changes)
    for ablation in ("counterfactual", "mean_positional", "optimal_positional"):
        problem = Problem.of(gpt2, known_batch(gpt2), ablation=ablation)
        reason = configured("method", "causal_tracing").unsupported(problem)
        assert "optimal, gaussian, mean, zero or resample" in reason


def test_a_subject_without_a_donor_of_as_many_tokens_is_named(gpt2):
    train = known_batch(gpt2, 12, seed=1)
    start = train.subject[:, 0]
    short = replace(train, subject=torch.stack([start, start + 1], 1))
    problem = tracing_problem(gpt2, "resample", short)
    with pytest.raises(UserError, match=r"another subject of \d tokens or more for the prompt"):
        study(gpt2, problem=problem)


def test_known_facts_keep_their_order(gpt2):
    batch = known_batch(gpt2)
    assert known_facts(gpt2, batch).ids == batch.ids

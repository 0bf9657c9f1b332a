"""Every component ablated alone: against other computations, the authors' slip, and the records."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from support.cells import cell
from support.independent.oracle import Oracle, written
from support.problems import training_problem
from support.prompts import random_batch
from support.values import largest

from benchmark.config import configured
from benchmark.effects.edges.exact import exact_source_effects
from benchmark.effects.edges.first_order import CleanRun
from benchmark.errors import UserError
from benchmark.files import file_stem
from benchmark.forward.passes import clean_logits, masked_logits, source_values
from benchmark.method.study import Study
from benchmark.metric import KLDivergence
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model
from benchmark.records.record import Status
from benchmark.report.frame import load_kinds
from benchmark.report.kinds import figures_of, tables_of
from benchmark.run.runner import run_cell
from benchmark.run.verify import verify_record
from benchmark.statistics.bootstrap import interval_of_means
from methods.importance.component_ablation import components, mlps_shifted

GAP = KLDivergence()


def study(problem, held_out, **changes):
    return configured("method", "component_ablation", **changes).study(problem, held_out)


def test_heads_mlps_and_the_input_are_the_components(gpt2):
    assert isinstance(configured("method", "component_ablation"), Study)
    rows = components(gpt2.graph).set_index("component")
    assert list(rows.index) == list(gpt2.graph.sources)
    assert rows.loc["a1.h2"].tolist() == ["head", 1] and rows.loc["m0"].tolist() == ["mlp", 0]
    assert rows.loc["input", "kind"] == "input" and pd.isna(rows.loc["input", "layer"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["counterfactual", "mean_positional", "zero", "resample"])
@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "gemma2"])
def test_gaps_are_those_of_a_whole_pass_for_each_component(models, family, name, monkeypatch):
    """Passes that start at the component's layer, some rows at a time, change nothing."""
    model = models[family]
    problem = training_problem(model, name)
    held_out = [random_batch(20, 5, seed=1), random_batch(20, 4, seed=2)]
    monkeypatch.setattr("methods.importance.component_ablation.masks_that_fit", lambda *_, **__: 2)
    found = study(problem, held_out)
    for number in range(model.graph.n_sources):
        mask = torch.ones(model.graph.n_sources, 1)
        mask[number] = 0
        gaps = []
        for batch in held_out:
            logits = masked_logits(model, mask, batch, problem.replacement(batch))
            clean = clean_logits(model, batch.clean, batch.read_at)
            gaps.append(GAP(logits, batch, clean))
        assert largest(found.tensors["loss_gap"][number], torch.cat(gaps)) < 1e-12


def test_summed_gaps_are_exact_effects_in_a_deeper_model(tmp_path):
    config = random_config("gpt_neox", n_layers=4)
    model = load_model(save_random_model(tmp_path, config), dtype="float64", check=False)
    problem, batch = training_problem(model, "mean"), random_batch(20, 5, seed=1)
    found = study(problem, [batch]).tensors["loss_gap"]
    clean = CleanRun.of(model, batch, problem.replacement(batch))
    assert largest(found.sum(1), -exact_source_effects(model, clean, GAP)) < 1e-12


def test_counterfactual_ablation_is_activation_patching_by_hooks(gpt2):
    problem, batch = training_problem(gpt2), random_batch(20, 5, same_length=True, seed=1)
    oracle = Oracle(gpt2)
    patched = written(gpt2, source_values(gpt2, batch.corrupted), batch.clean.shape)
    clean = clean_logits(gpt2, batch.clean, batch.read_at)
    found = study(problem, [batch]).tensors["loss_gap"]
    for number in (0, 2, gpt2.graph.n_sources - 1):
        mask = torch.ones(gpt2.graph.exists.shape)
        mask[number] = 0
        logits = oracle.logits(batch.clean, mask, patched, keep_first=True)[:, -1]
        assert largest(found[number], GAP(logits, batch, clean)) < 1e-9


def test_the_table_has_means_and_intervals_over_prompts(gpt2):
    found = study(training_problem(gpt2, "mean"), [random_batch(20, 9, seed=1)])
    table, gaps = found.table, found.tensors["loss_gap"]
    assert list(table.columns) == [
        "component", "kind", "layer", "loss_gap", "loss_gap_low", "loss_gap_high",
        "logit_difference",
    ]  # fmt: skip
    assert table["loss_gap"].tolist() == pytest.approx(gaps.mean(1).tolist())
    assert (table["loss_gap_low"] <= table["loss_gap"]).all()
    assert (table["loss_gap"] <= table["loss_gap_high"]).all()
    assert table["loss_gap_low"].tolist() == interval_of_means(gaps.numpy())[0].tolist()
    # Of heads and MLPs alone: the input is no component of the paper's.
    assert found.summary["mean_loss_gap"] == pytest.approx(float(gaps.mean(1)[1:].mean()))
    assert found.summary["median_loss_gap"] == pytest.approx(np.median(gaps.mean(1)[1:]))
    assert found.cost.forward > 9 * gpt2.graph.n_sources / 2 and found.judging.forward == 0


def test_components_that_write_nothing_lose_nothing_but_under_noise(planted):
    silent = {"a0.h1", "a1.h1", "m0"}
    found = study(training_problem(planted), [random_batch(20, 4, seed=1)]).table
    nothing = set(found["component"][found["loss_gap"] < 1e-6])
    assert nothing == silent


def test_random_ablations_are_averaged_over_draws(gpt2):
    batch = random_batch(20, 6, seed=1)
    for name in ("resample", "gaussian"):
        problem = training_problem(gpt2, name)
        one, two = (study(problem, [batch], draws=n).tensors["loss_gap"] for n in (1, 2))
        again = replace_draws(problem, 1)
        second = study(again, [batch]).tensors["loss_gap"]
        assert largest(two, (one + second) / 2) < 1e-12 < largest(one, second)
    once, twice = (study(training_problem(gpt2, "mean"), [batch], draws=n) for n in (1, 2))
    assert torch.equal(once.tensors["loss_gap"], twice.tensors["loss_gap"])
    assert once.cost.forward == twice.cost.forward
    with pytest.raises(UserError, match="draws=0 must be 1 or more"):
        configured("method", "component_ablation", draws=0)


def replace_draws(problem, draw):
    """The same problem whose first draw is another."""
    made, fitted = replace(problem), problem.replacement
    made.__dict__["replacement"] = lambda batch, _: fitted(batch, draw)
    return made


def test_the_authors_slip_gives_each_mlp_the_mean_of_the_one_before(gpt2):
    batch = random_batch(20, 6, seed=1)
    for name in ("mean_positional", "counterfactual_mean"):
        problem = training_problem(gpt2, name)
        right, theirs = (study(problem, [batch], paper_compat=on) for on in (False, True))
        values = problem.replacement(batch)
        moved = mlps_shifted(values)
        assert torch.equal(moved.mlps[0], values.input)
        assert torch.equal(moved.mlps[1:], values.mlps[:-1])
        assert torch.equal(moved.heads, values.heads) and torch.equal(moved.input, values.input)
        of_mlps = (right.table["kind"] == "mlp").to_numpy()
        apart = (right.tensors["loss_gap"] - theirs.tensors["loss_gap"]).abs().sum(1).numpy()
        assert (apart[of_mlps] > 1e-6).all() and (apart[~of_mlps] < 1e-12).all()
        mlp, mask = gpt2.graph.mlp_source(1), torch.ones(gpt2.graph.n_sources, 1)
        mask[mlp] = 0
        logits = masked_logits(gpt2, mask, batch, moved)
        clean = clean_logits(gpt2, batch.clean, batch.read_at)
        assert largest(theirs.tensors["loss_gap"][mlp], GAP(logits, batch, clean)) < 1e-12


@pytest.mark.parametrize("name", ["zero", "counterfactual", "resample"])
def test_the_slip_is_one_of_means_alone(gpt2, name):
    problem, batch = training_problem(gpt2, name), random_batch(20, 6, seed=1)
    right, theirs = (study(problem, [batch], paper_compat=on) for on in (False, True))
    assert torch.equal(right.tensors["loss_gap"], theirs.tensors["loss_gap"])


@pytest.mark.slow
def test_long_trained_constants_lose_less_than_what_they_bound(planted):
    """On the training prompts, all of which every step sees."""
    recipe = dict(steps=80, learning_rate=0.03, batch_size=12)
    gaps = {}
    for name in ("zero", "mean_positional", "optimal", "optimal_positional"):
        problem = training_problem(planted, name, **(recipe if "optimal" in name else {}))
        gaps[name] = study(problem, problem.batches).table["loss_gap"]
    for name in ("zero", "mean_positional", "optimal"):
        assert (gaps["optimal_positional"] <= gaps[name] + 1e-5).all(), name
    assert (gaps["optimal"] <= gaps["zero"] + 1e-5).all()
    assert gaps["optimal_positional"].sum() < 0.8 * gaps["mean_positional"].sum()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Three ablations of one task and model."""
    place = tmp_path_factory.mktemp("results")
    for name in ("mean_positional", "optimal_positional", "counterfactual"):
        record = run_cell(cell(place, method="component_ablation", ablation=name)).record
        assert record.status is Status.done and record.kind == "components", record.traceback
        assert record.cost["judging"]["forward"] == 0
    return place


@pytest.mark.slow
def test_records_hold_scores_and_come_out_again(records):
    (found,) = load_kinds(records).values()
    record = found.done[0]
    gaps = found.tensor(record.key, "loss_gap")
    assert gaps.shape == (11, 8) and (gaps > -1e-6).all()
    rows = found.tables[found.tables["key"] == record.key]
    assert rows["loss_gap"].tolist() == pytest.approx(gaps.mean(1).tolist(), abs=1e-6)
    agrees, _ = verify_record(records, record.key)
    assert agrees


def test_the_report_joins_what_the_records_measured(records):
    (found,) = load_kinds(records).values()
    gaps = {record.names["ablation"]: found.tensor(record.key, "loss_gap") for record in found.done}
    means = {name: values.mean(1)[1:] for name, values in gaps.items()}
    tables = {file_stem(*table.words): table.table for table in tables_of(found)}
    row = tables["components_ioi_tiny_gpt2"].loc["mean_positional"]
    expected = spearmanr(means["mean_positional"], means["counterfactual"]).statistic
    assert row["rank correlation"] == f"{expected:.3f}"
    shares = np.minimum(means["optimal_positional"] / means["mean_positional"], 1)
    assert row["median ratio"] == f"{100 * np.median(shares):.1f} %"
    assert list(tables["components_bound_ioi_tiny_gpt2"].index) == ["mean_positional"]
    assert len(figures_of(found)) == 2


def test_records_of_more_prompts_are_labelled_and_not_joined(records, tmp_path):
    shutil.copytree(records, tmp_path / "more")
    run_cell(cell(tmp_path / "more", method="component_ablation", ablation="zero", n_test=6))
    (found,) = load_kinds(tmp_path / "more").values()
    heads = {table.words[1] for table in tables_of(found)}
    assert heads == {"ioi n_test=6", "ioi n_test=8"}

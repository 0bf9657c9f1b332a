"""Estimators of node importance: their contract, their ranges, and the records they leave."""

import math
from dataclasses import replace

import pytest
import torch
from support.cells import cell
from support.options import methods_of
from support.problems import pairs_problem
from support.prompts import random_batch
from support.values import largest

from benchmark.config import configured
from benchmark.effects.nodes.first_order import AtPVariant, node_effects
from benchmark.effects.nodes.nodes import NodeKind, Nodes
from benchmark.errors import UserError
from benchmark.method.study import Findings, Study
from benchmark.models.loading import load_model
from benchmark.models.random_models import random_config, save_random_model
from benchmark.records.record import RECORD, TABLE, TENSORS, Record, Status
from benchmark.run.runner import run_cell
from benchmark.run.verify import verify_record
from methods.importance.nodes.problem import NodeSettings

QUICK = {
    "missed_effects": dict(verified=8, draws=128, probability=0.2),
    "subsampling": dict(draws=90, probability=0.2),
}
GRADIENTS = ("atp", "atp_grad_drop", "atp_qk_fix", "atp_star", "missed_effects")


def study_of(name, **changes):
    return configured("method", name, **dict(repeats=2) | QUICK.get(name, {}) | changes)


STUDIES = methods_of(NodeSettings)
# They look up what each node's effect is.
MEASURING = ("activation_patching", "hierarchical", "iterative")
ESTIMATORS = [name for name in STUDIES if name != "missed_effects"]


def found_by(name, problem, **changes) -> Findings:
    return study_of(name, **changes).study(problem, problem.batches)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_study_keeps_the_contract(models, family, name):
    problem = pairs_problem(models[family])
    study = study_of(name)
    assert isinstance(study, Study) and study.version >= 1
    assert study.kind in ("node_importance", "missed_effects")
    assert study.unsupported(problem) is None
    found = study.study(problem, problem.batches)
    n_nodes = len(Nodes(NodeKind.attention, models[family].shape, 4))
    assert len(found.table) and found.table.notna().all(axis=None)
    assert (found.table < math.inf).all(axis=None)
    assert all(map(math.isfinite, found.summary.values())) and not found.warnings
    assert {"layer", "site", "unit", "position", "contribution"} <= set(found.tensors)
    assert all(tensor.shape[-1] == n_nodes for tensor in found.tensors.values())
    again = study.study(problem, problem.batches)
    assert again.table.equals(found.table) and again.summary == found.summary
    for tensor_name, tensor in found.tensors.items():
        assert torch.equal(tensor.nan_to_num(9e9), again.tensors[tensor_name].nan_to_num(9e9))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["iterative", "blocks", "hierarchical", "subsampling", "missed_effects"]
)
def test_another_seed_and_every_repetition_differ(gpt2, name):
    problem = pairs_problem(gpt2)
    found, other = (found_by(name, replace(problem, seed=seed), repeats=2) for seed in (3, 4))
    assert not other.table.equals(found.table)
    halves = [rows.drop(columns="repeat") for _, rows in found.table.groupby("repeat")]
    assert len(halves) == 2 and (halves[0].to_numpy() != halves[1].to_numpy()).any()
    first = found_by(name, problem, repeats=1).table
    assert first.equals(found.table[found.table["repeat"] == 0])


@pytest.mark.parametrize("name", STUDIES)
def test_what_cannot_be_studied_is_said_in_a_sentence(gpt2, name):
    mean = pairs_problem(gpt2, ablation=configured("ablation", "mean"))
    assert "give ablation=counterfactual" in study_of(name).unsupported(mean)
    lengths = pairs_problem(gpt2)
    lengths = replace(lengths, batches=[random_batch(n_prompts=4)])
    assert "give method.positions=all" in study_of(name).unsupported(lengths)
    together = study_of(name, positions="all")
    assert together.unsupported(lengths) is None
    assert len(together.study(lengths, lengths.batches).table)
    for metric in ("accuracy", "exact_match", "kl"):
        problem = pairs_problem(gpt2, metric=configured("metric", metric))
        reason = study_of(name).unsupported(problem)
        if name in GRADIENTS:
            assert reason.endswith("give another metric")
        else:
            assert reason is None


def test_a_model_of_one_block_has_no_other_to_cut(tmp_path):
    model = load_model(save_random_model(tmp_path, random_config("gpt2", n_layers=1)))
    problem = pairs_problem(model)
    for name in ("atp_star", "missed_effects"):
        assert "method.grad_drop=half_layer" in study_of(name).unsupported(problem)
        for other in ("half_layer", None):
            assert study_of(name, grad_drop=other).unsupported(problem) is None
            assert len(found_by(name, problem, grad_drop=other).table)


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        *((name, "batch_size", 0) for name in STUDIES),
        *((name, "repeats", 0) for name in STUDIES),
        *((name, "backward_price", -0.1) for name in ESTIMATORS),
        ("atp", "backward_price", math.inf),
        *((name, "draws", 0) for name in ("subsampling", "missed_effects")),
        *((name, "probability", 0.0) for name in ("subsampling", "missed_effects")),
        *((name, "probability", 1.0) for name in ("subsampling", "missed_effects")),
        ("subsampling", "probability", math.nan),
        ("missed_effects", "verified", 0),
        ("blocks", "block_size", 0),
        ("hierarchical", "branching", 1),
        ("hierarchical", "levels", 0),
    ],
)
def test_settings_out_of_range_are_one_clear_line(name, setting, value):
    with pytest.raises(UserError, match=rf"^method\.{setting}={value} must [^\n]+$"):
        study_of(name, **{setting: value})


@pytest.mark.parametrize("name", ["atp", "atp_grad_drop", "atp_qk_fix", "atp_star"])
def test_gradients_are_the_engines_and_cost_what_they_say(gpt2, name):
    problem = pairs_problem(gpt2)
    study = study_of(name, batch_size=2, backward_price=3.0)
    found = study.study(problem, [])
    nodes = Nodes(NodeKind.attention, gpt2.shape, 4)
    wanted = node_effects(
        gpt2,
        problem.batches[0],
        nodes,
        problem.metric,
        AtPVariant("qk" in name or "star" in name, study.grad_drop),
        keep_first=True,
    )
    assert largest(found.tensors["effects"], wanted.float()) < 1e-6
    assert largest(found.tensors["estimate"], wanted.abs().mean(0).float()) < 1e-6
    backward = 1.0 if study.grad_drop is None else 1.5
    assert (found.cost.forward, found.cost.backward) == (2 * 3, backward * 3)
    assert found.tensors["spent"].min() == 3 * (2 + 3 * backward + 1)
    assert found.summary["estimation_passes"] == 3 * (2 + 3 * backward)


@pytest.mark.slow
def test_magnitudes_are_taken_inside_or_outside_the_mean(gpt2):
    problem = pairs_problem(gpt2)
    for name in ("atp", "blocks", "iterative", "activation_patching"):
        inside, outside = (found_by(name, problem, abs_inside=inside) for inside in (True, False))
        truth, effects = inside.tensors["truth"], inside.tensors["effects"]
        assert largest(inside.tensors["contribution"], truth.abs().mean(0)) < 1e-12
        assert largest(outside.tensors["contribution"], truth.mean(0).abs()) < 1e-12
        assert torch.equal(effects, outside.tensors["effects"])
        assert largest(inside.tensors["estimate"], effects.abs().mean(0)) < 1e-6
        assert largest(outside.tensors["estimate"], effects.mean(0).abs()) < 1e-6
        assert not torch.equal(inside.tensors["spent"], outside.tensors["spent"]) or (
            name == "activation_patching"
        )


@pytest.mark.parametrize("name", STUDIES)
def test_without_a_judge_there_are_estimates_alone(gpt2, name):
    problem = pairs_problem(gpt2)
    judged, alone = (found_by(name, problem, judge=judge) for judge in (True, False))
    assert alone.judging.forward == 0
    assert (judged.judging.forward == 0) == (name in MEASURING)
    assert alone.cost.forward == judged.cost.forward > 0
    assert not {"truth", "contribution", "largest_missed"} & {*alone.tensors, *alone.summary}
    assert list(alone.table) == list(judged.table)
    for shared in set(alone.tensors) - {"spent"}:
        tensors = (found.tensors[shared].nan_to_num(9e9) for found in (alone, judged))
        assert torch.equal(*tensors)


def passes(found):
    return [(part.forward, part.backward) for part in (found.cost, found.judging)]


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_what_is_kept_costs_what_it_took(gpt2, tmp_path, name):
    """Passes are the same whether effects are measured now, were kept, or partly so."""
    problem = pairs_problem(gpt2, shared_folder=tmp_path)
    fresh = passes(found_by(name, replace(problem, shared_folder=None)))
    assert passes(found_by(name, problem)) == fresh
    assert passes(found_by(name, problem)) == fresh
    for path in sorted(tmp_path.rglob("layer1.safetensors"))[:2]:
        path.unlink()
    assert passes(found_by(name, problem)) == fresh
    other = replace(problem, shared_folder=tmp_path / "one by one")
    found_by("activation_patching", other, batch_size=1)
    assert passes(found_by(name, other)) == fresh


def test_exhaustive_patching_costs_a_pass_for_each_node_that_differs(gpt2):
    """Of each pair, from the node's layer on, beside the two runs that patches start from."""
    problem = pairs_problem(gpt2)
    found = found_by("activation_patching", problem)
    layer, able = found.tensors["layer"], found.tensors["effects"] != 0
    assert able.any() and not able.all()
    assert found.cost.forward == 2 * 3 + float((able * (1 - layer / 2)).sum())


def studied(results_dir, name, *, settings=None, **changes):
    one = cell(results_dir, method=name, task="ioi_six_names", n_train=2, n_test=2, **changes)
    return replace(one, method=one.method | (settings or {}), model=one.model | dict(check=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atp_star", "missed_effects"])
def test_a_cell_leaves_a_record(tmp_path, name):
    settings = studied(tmp_path, name, settings=QUICK.get(name))
    record = run_cell(settings).record
    assert record.status is Status.done, record.traceback or record.reason
    assert record.kind == ("node_importance" if name == "atp_star" else name)
    assert {RECORD, TABLE, TENSORS} <= {entry.name for entry in settings.folder.path.iterdir()}
    assert Record.read(settings.folder.path / RECORD) == record and record.summary
    assert record.cost["method"]["backward"] == 2 * 1.5
    again = run_cell(replace(settings, overwrite=False))
    assert again.was_there and again.record == record
    for measuring in ("iterative", "activation_patching"):
        other = run_cell(studied(tmp_path, measuring)).record
        assert other.status is Status.done
        assert other.cost["method"]["forward"] == record.cost["judging"]["forward"] > 0
        assert other.cost["judging"]["forward"] == 0
    agrees, _ = verify_record(tmp_path, record.key)
    assert agrees
    unjudged = replace(settings, n_train=1, method=settings.method | dict(judge=False))
    one_pair = run_cell(unjudged).record
    assert one_pair.status is Status.done, one_pair.reason
    assert Record.read(unjudged.folder.path / RECORD) == one_pair


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atp_star", "missed_effects"])
def test_a_cell_that_cannot_be_done_is_skipped_with_the_sentence(tmp_path, name):
    record = run_cell(studied(tmp_path, name, ablation="mean")).record
    assert record.status is Status.skipped and record.traceback is None
    assert "give ablation=counterfactual" in record.reason

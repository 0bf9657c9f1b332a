"""Exhaustive patching as methods see it: against brute force, and what is kept of it on disk."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.problems import pairs_problem
from support.prompts import random_batch
from support.values import largest

from benchmark.config import configured
from benchmark.effects.nodes.nodes import NodeKind, Nodes
from benchmark.effects.nodes.patching import SiteRun, patched_effects, set_effects
from benchmark.meter import metering
from methods.importance.nodes import truth as exhaustive
from methods.importance.nodes.problem import NodeProblem

N_LAYERS = 2


def asked_of(problem, **changes) -> NodeProblem:
    return NodeProblem.of(problem, configured("method", "activation_patching", **changes))


def swapped(batch):
    return replace(batch, clean=batch.corrupted, corrupted=batch.clean)


def one_by_one(asked: NodeProblem):
    """Every node patched alone, a pass each from its own layer on."""
    (clean,) = asked.clean_runs()
    alone = torch.eye(len(asked.nodes), dtype=torch.bool)[:, None, None]
    nodes, model = asked.nodes, asked.model
    rows = [
        patched_effects(model, clean, nodes.patches(a, model.device), asked.objective)
        for a in alone
    ]
    return torch.cat(rows).T


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["noising", "denoising"])
@pytest.mark.parametrize("positions", ["each", "all"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_truth_is_every_node_patched_alone(models, family, positions, direction):
    asked = asked_of(pairs_problem(models[family]), positions=positions, direction=direction)
    assert largest(asked.truth, one_by_one(asked)) < 1e-12
    assert (asked.truth != 0).any(0).sum() > len(asked.nodes) / 3


@pytest.mark.slow
def test_the_truth_of_neurons_and_of_all_nodes(gpt2):
    problem = pairs_problem(gpt2, n_pairs=2, n_positions=3)
    found = {kind: asked_of(problem, nodes=kind) for kind in ("attention", "neurons", "all")}
    assert largest(found["neurons"].truth, one_by_one(found["neurons"])) < 1e-12
    of_neurons = found["all"].nodes.description["site"] == 4
    assert torch.equal(found["all"].truth[:, of_neurons], found["neurons"].truth)
    assert torch.equal(found["all"].truth[:, ~of_neurons], found["attention"].truth)


def test_denoising_is_noising_of_swapped_prompts(gpt2):
    problem = pairs_problem(gpt2)
    turned = replace(problem, batches=[swapped(batch) for batch in problem.batches])
    there = asked_of(problem, direction="denoising").truth
    assert torch.equal(there, asked_of(turned).truth)
    assert not torch.equal(there, asked_of(problem).truth)


def test_an_aggregated_node_is_all_its_positions_patched_together(gpt2):
    problem = pairs_problem(gpt2)
    each, together = asked_of(problem), asked_of(problem, positions="all")
    own, common = each.nodes.description, together.nodes.description
    sets = torch.ones(len(together.nodes), 1, len(each.nodes), dtype=torch.bool)
    for part in ("layer", "site", "unit"):
        sets &= (common[part][:, None] == own[part])[:, None]
    (clean,) = each.clean_runs()
    assert (sets.sum(-1) == 4).all()
    assert largest(together.truth, each.of_sets(clean, sets).T) < 1e-12


def test_rows_that_patch_nothing_change_nothing(gpt2):
    batch = random_batch(n_positions=4, same_length=True)
    nodes = Nodes(NodeKind.attention, gpt2.shape, 4)
    clean = SiteRun.of(gpt2, batch, keep_first=False)
    metric = configured("metric", "logit_difference")
    none = torch.zeros(3, 1, len(nodes), dtype=torch.bool)
    with metering() as spent:
        assert torch.equal(set_effects(gpt2, clean, nodes, none, metric), torch.zeros(3, 4))
    assert spent.forward == 0


def files_of(folder: Path) -> dict[str, float]:
    return {str(path.relative_to(folder)): path.stat().st_mtime for path in folder.rglob("*.s*")}


def measured(monkeypatch, asked: NodeProblem, fail_at: int | None = None):
    """The truth, and how many layers of batches were measured for it."""
    calls, measure = [], exhaustive.exact_node_effects

    def counting(*arguments):
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        calls.append(arguments)
        return measure(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(exhaustive, "exact_node_effects", counting)
        try:
            return asked.truth, len(calls)
        except KeyboardInterrupt:
            return None, len(calls)


def nothing_runs(*_):
    raise AssertionError("a pass was run")


def test_what_is_kept_is_not_run_but_counted(gpt2, tmp_path, monkeypatch):
    problem = pairs_problem(gpt2, shared_folder=tmp_path)
    fresh = asked_of(replace(problem, shared_folder=None)).truth
    with metering() as took:
        first = asked_of(problem).truth
    assert torch.equal(first, fresh)
    written = files_of(tmp_path)
    assert len(written) == 3 * N_LAYERS
    monkeypatch.setattr("benchmark.effects.nodes.patching.run_layers", nothing_runs)
    monkeypatch.setattr("benchmark.effects.nodes.patching.run", nothing_runs)
    with metering() as spent:
        again = asked_of(problem, batch_size=2, abs_inside=False).truth
        other_seed = asked_of(replace(problem, seed=9)).truth
    assert spent.forward == 2 * took.forward > 0
    assert torch.equal(again, first) and torch.equal(other_seed, first)
    assert files_of(tmp_path) == written
    some = replace(problem, batches=[problem.batches[0].select(torch.tensor([2, 0]))])
    with metering() as spent:
        assert torch.equal(asked_of(some).truth, first[[2, 0]])
    assert 0 < spent.forward < took.forward


@pytest.mark.parametrize("fail_at", range(4))
def test_a_killed_measurement_goes_on_where_it_was(gpt2, tmp_path, monkeypatch, fail_at):
    problem = pairs_problem(gpt2, n_pairs=4)
    with metering() as took:
        whole = asked_of(problem, batch_size=2).truth
    kept = replace(problem, shared_folder=tmp_path)
    nothing, done = measured(monkeypatch, asked_of(kept, batch_size=2), fail_at)
    assert nothing is None and done == fail_at
    assert len(files_of(tmp_path)) == 2 * fail_at
    with metering() as spent:
        resumed, done = measured(monkeypatch, asked_of(kept, batch_size=2))
    assert spent.forward == took.forward > 0
    assert done == 2 * N_LAYERS - fail_at and torch.equal(resumed, whole)


def flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    bit = draw.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.slow
def test_flipped_bits_and_swapped_files_never_change_a_number(gpt2, tmp_path, caplog):
    problem, draw = pairs_problem(gpt2, shared_folder=tmp_path), random.Random(0)
    whole = asked_of(problem).truth
    written = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.safetensors"))}
    paths = list(written)
    for _ in range(12):
        flip(draw.choice(paths), draw)
        caplog.clear()
        assert torch.equal(asked_of(problem).truth, whole)
        assert "effects are measured anew" in caplog.text
        assert {path: path.read_bytes() for path in paths} == written
    for _ in range(6):
        one, other = draw.sample(paths, 2)
        one.write_bytes(written[other])
        other.write_bytes(written[one])
        caplog.clear()
        assert torch.equal(asked_of(problem).truth, whole)
        assert "answers another question" in caplog.text
        assert {path: path.read_bytes() for path in paths} == written


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_name(path: Path) -> None:
    save_file({"something": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    "damage",
    [half, other_name, lambda path: path.write_bytes(b""), lambda path: path.unlink()],
    ids=["half", "other name", "empty", "gone"],
)
def test_a_damaged_file_is_measured_anew(gpt2, tmp_path, monkeypatch, damage):
    asked = asked_of(pairs_problem(gpt2, shared_folder=tmp_path))
    whole = asked.truth
    damage(sorted(tmp_path.rglob("layer1.*"))[1])
    mended, layers = measured(monkeypatch, replace(asked))
    assert layers == 1 and torch.equal(mended, whole)
    _, layers = measured(monkeypatch, replace(asked))
    assert layers == 0


def other_answers(problem):
    (batch,) = problem.batches
    return replace(problem, batches=[replace(batch, answers=batch.wrong, wrong=batch.answers)])


def with_first(problem):
    ablation = configured("ablation", "counterfactual", keep_first=False)
    return replace(problem, ablation=ablation)


def with_metric(name, **changes):
    return lambda problem: replace(problem, metric=configured("metric", name, **changes))


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (other_answers, {}),
        (with_first, {}),
        (with_metric("cross_entropy"), {}),
        (with_metric("logit_difference", over_wrong="max"), {}),
        (lambda problem: problem, dict(direction="denoising")),
        (lambda problem: problem, dict(nodes="neurons")),
        (lambda problem: problem, dict(nodes="all")),
        (lambda problem: problem, dict(positions="all")),
    ],
)
def test_another_question_reuses_nothing(gpt2, tmp_path, monkeypatch, change, settings):
    problem = pairs_problem(gpt2, n_positions=3)
    asked_of(replace(problem, shared_folder=tmp_path)).truth  # noqa: B018
    before = files_of(tmp_path)
    other = change(problem)
    fresh = asked_of(other, **settings).truth
    kept = asked_of(replace(other, shared_folder=tmp_path), **settings)
    found, layers = measured(monkeypatch, kept)
    assert layers == N_LAYERS and torch.equal(found, fresh)
    after = files_of(tmp_path)
    assert len(after) == 2 * len(before) and before.items() <= after.items()


def test_another_model_reuses_nothing(models, tmp_path, monkeypatch):
    truths = []
    for family in ("gpt2", "gpt_neox"):
        asked = asked_of(pairs_problem(models[family], shared_folder=tmp_path))
        found, layers = measured(monkeypatch, asked)
        truths.append(found)
        assert layers == N_LAYERS
    assert truths[0].shape == truths[1].shape and not torch.equal(*truths)


def test_batches_change_rounding_alone(gpt2, tmp_path):
    problem = pairs_problem(gpt2, n_pairs=5)
    names, truths = [], []
    for size in (1, 2, 32):
        folder = tmp_path / str(size)
        truths.append(asked_of(replace(problem, shared_folder=folder), batch_size=size).truth)
        names.append(set(files_of(folder)))
    assert names[0] == names[1] == names[2] and len(names[0]) == 5 * N_LAYERS
    assert max(largest(truth, truths[0]) for truth in truths) < 1e-12


def test_padding_is_no_part_of_a_pair(gpt2, tmp_path, monkeypatch):
    """Prompts of other lengths beside it change neither its effects nor where they are kept."""
    problem = pairs_problem(gpt2, n_pairs=2)
    alone = asked_of(problem, positions="all").truth
    longer = random_batch(n_prompts=2, n_positions=7, same_length=True, seed=1)
    mixed = replace(problem, batches=[*problem.batches, longer], shared_folder=tmp_path)
    padded = asked_of(mixed, positions="all").truth[:2]
    assert largest(padded, alone) < 1e-12
    again = asked_of(replace(problem, shared_folder=tmp_path), positions="all")
    found, layers = measured(monkeypatch, again)
    assert layers == 0 and torch.equal(found, padded)

"""Ensembles of stored scores, against each member, by hand, and refused where there are none."""

import pytest
import torch
from support.made.mib import random_mask, random_scores
from support.problems import problem

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import save_circuits, save_scores

SIZES = [1, 7, 30]


def saved(folder, *scores):
    paths = []
    for number, one in enumerate(scores):
        path = folder / f"{number}.safetensors"
        save_scores(path, {"": one})
        paths.append(str(path))
    return paths


def ensemble(paths, **changes):
    return configured("method", "ensemble", paths=paths, **changes)


@pytest.mark.parametrize("combine", ["mean", "min", "max"])
@pytest.mark.parametrize("normalise", ["largest", "ranks"])
@pytest.mark.parametrize("signed", [True, False])
def test_an_ensemble_of_one_is_that_one(gpt2, tmp_path, combine, normalise, signed):
    member = EdgeScores(gpt2.graph, random_scores(gpt2.graph).value, signed)
    paths = saved(tmp_path, member)
    found = ensemble(paths, combine=combine, normalise=normalise).discover(problem(gpt2), SIZES)
    for circuit, size in zip(found, SIZES, strict=True):
        assert torch.equal(circuit.mask.keep, member.top(size).keep)
    assert torch.equal(found.scores[""].ranking(), member.ranking())
    twice = ensemble(paths * 2, combine=combine, normalise=normalise)
    again = twice.discover(problem(gpt2), SIZES)
    assert torch.equal(again.scores[""].ranking(), member.ranking())


def test_members_count_alike_whatever_their_scale(gpt2, tmp_path):
    one, other = (random_scores(gpt2.graph, seed) for seed in (0, 1))
    larger = EdgeScores(gpt2.graph, 1000 * other.value, signed=True)
    exists = gpt2.graph.exists
    alike = torch.stack([s.value / s.value[exists].abs().max() for s in (one, other)])
    by_hand = {"mean": alike.mean(0), "min": alike.amin(0), "max": alike.amax(0)}
    for name, wanted in by_hand.items():
        paths = saved(tmp_path, one, larger)
        found = ensemble(paths, combine=name, absolute=False).discover(problem(gpt2), SIZES)
        torch.testing.assert_close(found.scores[""].value[exists], wanted[exists])
    ranks = ensemble(saved(tmp_path, one, larger), normalise="ranks", absolute=False)
    shares = ranks.discover(problem(gpt2), SIZES).scores[""].value[exists]
    order = [s.value[exists].argsort().argsort() for s in (one, other)]
    assert shares.tolist() == pytest.approx(
        ((order[0] + order[1]) / 2 / gpt2.graph.n_edges).tolist()
    )


def test_without_scores_there_is_no_ensemble(gpt2, tmp_path):
    assert "no record is named; type method.paths=" in ensemble([]).unsupported(problem(gpt2))
    path = tmp_path / "circuits.safetensors"
    save_circuits(path, [FoundCircuit(random_mask(gpt2.graph))])
    with pytest.raises(UserError, match=r"has circuits and no scores; type method\.paths="):
        ensemble([str(path)]).discover(problem(gpt2), SIZES)
    with pytest.raises(UserError, match=r"has no scores; type method\.paths="):
        ensemble([str(tmp_path / "none")]).data_digest()
    one, other = (ensemble(saved(tmp_path, random_scores(gpt2.graph, seed))) for seed in (0, 1))
    assert one.data_digest() == other.data_digest()

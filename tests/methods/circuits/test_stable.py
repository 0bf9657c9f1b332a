"""Stable circuits: the intersection, the union, and what lies between, of members known."""

from dataclasses import replace

import pytest
import torch
from support.made.mib import random_scores
from support.problems import problem

from benchmark.config import configured
from benchmark.errors import UserError
from benchmark.method.found import save_scores
from benchmark.prompts.batch import concatenate

SIZES = [5, 25]
N_MEMBERS = 4


@pytest.fixture
def members(gpt2, tmp_path):
    """Scores of several records, and the files that they are in."""
    scores = [random_scores(gpt2.graph, seed) for seed in range(N_MEMBERS)]
    paths = [str(tmp_path / f"{number}.safetensors") for number in range(N_MEMBERS)]
    for path, one in zip(paths, scores, strict=True):
        save_scores(tmp_path / path, {"": one})
    return scores, paths


@pytest.mark.parametrize(("share", "least"), [(0.0, 1), (0.5, 2), (0.6, 3), (1.0, N_MEMBERS)])
def test_an_edge_is_in_if_enough_members_have_it(gpt2, members, share, least):
    """At a share of 0 that is the union of their circuits, and at 1 the intersection."""
    scores, paths = members
    stable = configured("method", "stable", paths=paths, share=share)
    found = stable.discover(problem(gpt2), SIZES)
    for circuit, size in zip(found, SIZES, strict=True):
        count = torch.stack([one.top(size).keep for one in scores]).sum(0)
        assert torch.equal(circuit.mask.keep > 0, count >= least)
        undecided = int(((count > 0) & (count < least)).sum())
        assert circuit.setting == f"size={size} share={share:g} abstained={undecided}"
        # Its size is its own: a union is larger than what was asked for.
        assert circuit.requested_size is None
    shares = torch.stack(
        [torch.stack([one.top(size).keep for one in scores]).mean(0) for size in SIZES]
    )
    torch.testing.assert_close(found.scores[""].value, shares.mean(0))


def test_a_method_works_on_subsamples_of_the_prompts(gpt2):
    asked = problem(gpt2)
    stable = configured("method", "stable", subsamples=3, prompts=0.5, share=0.0)
    (found,) = stable.discover(asked, [12])
    parts = [stable._subsample(asked, number) for number in range(3)]
    ids = [set(part.batches[0].ids) for part in parts]
    assert all(len(some) == 5 for some in ids) and len(set(map(frozenset, ids))) > 1
    assert set().union(*ids) <= set(concatenate(asked.batches).ids)
    each = [configured("method", "eap").discover(part, [12])[0].mask.keep for part in parts]
    assert torch.equal(found.mask.keep, torch.stack(each).amax(0))
    # Of all prompts every subsample is the same, and so is what is found.
    (all_prompts,) = replace(stable, prompts=1.0, share=1.0).discover(asked, [12])
    assert torch.equal(
        all_prompts.mask.keep, configured("method", "eap").discover(asked, [12])[0].mask.keep
    )


def test_settings_that_cannot_be_are_refused(gpt2):
    for settings, words in (
        ({"share": 1.5}, "is a share, of at most 1"),
        ({"prompts": 0.0}, "must be above 0"),
        ({"base": "component_ablation"}, "finds no circuits; type method"),
        ({"base": "ugs"}, "chooses its own sizes"),
        ({"base_settings": {"granularity": "neuron"}}, "stable circuits are of edges"),
    ):
        with pytest.raises(UserError, match=words):
            configured("method", "stable", **settings).discover(problem(gpt2), SIZES)


def test_the_other_method_decides_what_is_used_and_the_key():
    eap, signed, random = (
        configured("method", "stable", **changes)
        for changes in ({}, {"base_settings": {"absolute": False}}, {"base": "random"})
    )
    assert eap.uses == {"sizes", "attribution_metric"} and random.uses == {"sizes"}
    assert len({one.data_digest() for one in (eap, signed, random)}) == 3

"""The cost of verified recall, against brute force on a few nodes and against the oracle."""

from math import ceil, exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import UserError
from benchmark.seeds import generator
from methods.importance.nodes.recall import (
    contributions,
    recall_cost,
    recall_summary,
    recall_table,
    relative_cost,
    spent_by_ranking,
)

magnitudes = st.lists(st.integers(0, 5), min_size=1, max_size=12).filter(any)
seeds = st.integers(0, 2**30)
shares = st.sampled_from([1.0, 0.9, 0.5])


def random_nodes(n, seed):
    return torch.rand(n, generator=generator(seed, "nodes"), dtype=torch.float64)


def by_brute_force(contribution, spent, share):
    order = sorted(range(len(contribution)), key=lambda node: -contribution[node])
    order = [node for node in order if contribution[node] > 0]
    return [
        sorted(spent[node] for node in order[:k])[ceil(share * k) - 1]
        for k in range(1, len(order) + 1)
    ]


@given(magnitudes, seeds, shares)
def test_costs_are_those_of_brute_force(values, seed, share):
    contribution = torch.tensor(values, dtype=torch.float64)
    spent = spent_by_ranking(random_nodes(len(values), seed), 7, 3, seed)
    found = recall_cost(contribution, spent, share).tolist()
    assert found == by_brute_force(values, spent.tolist(), share)


@given(magnitudes, seeds)
def test_more_nodes_and_more_of_them_never_cost_less(values, seed):
    contribution = torch.tensor(values, dtype=torch.float64)
    spent = spent_by_ranking(random_nodes(len(values), seed), 7, 3, seed)
    whole, most = (recall_cost(contribution, spent, share) for share in (1.0, 0.9))
    assert (whole.diff() >= 0).all()
    assert (most <= whole).all()
    sizes = torch.arange(1, len(whole) + 1)
    assert (whole >= 7 + 3 * sizes).all()
    assert (most >= 7 + 3 * (0.9 * sizes).ceil()).all()


@given(st.integers(1, 300), st.integers(1, 20), seeds)
def test_the_oracle_is_the_diagonal(n_nodes, n_pairs, seed):
    contribution = random_nodes(n_nodes, seed) + 0.1
    spent = spent_by_ranking(contribution, 0, n_pairs, seed)
    cost = recall_cost(contribution, spent, 1.0)
    assert cost.tolist() == [n_pairs * k for k in range(1, n_nodes + 1)]
    assert relative_cost(cost, n_pairs) == pytest.approx(1)
    table = recall_table(contribution, spent[None], n_pairs)
    assert (table["cost_100"] == table["oracle"]).all()
    assert (table["cost_90"] <= table["oracle"]).all()


def test_one_node_that_is_ranked_last_holds_up_all():
    contribution = torch.tensor([5.0, 4.0, 3.0, 2.0, 0.0])
    spent = spent_by_ranking(torch.tensor([0.0, 9.0, 8.0, 7.0, 6.0]), 100, 10, seed=0)
    assert spent.tolist() == [150, 110, 120, 130, 140]
    assert recall_cost(contribution, spent, 1.0).tolist() == [150] * 4
    assert recall_cost(contribution, spent, 0.75).tolist() == [150, 150, 150, 130]


def test_relative_cost_weighs_by_the_inverse_of_k():
    costs, weights = [4.0, 4.0, 12.0], [1, 1 / 2, 1 / 3]
    logs = [log(cost / (2 * k)) for k, cost in enumerate(costs, 1)]
    by_hand = sum(w * x for w, x in zip(weights, logs, strict=True)) / sum(weights)
    assert relative_cost(torch.tensor(costs).double(), 2) == pytest.approx(exp(by_hand))


def test_a_cost_of_a_factor_at_every_k_is_that_factor():
    cost = 3.5 * torch.arange(1, 1001).double()
    assert relative_cost(cost, 1) == pytest.approx(3.5)


def test_ties_are_drawn_by_the_seed_and_unknown_nodes_come_last():
    estimates = torch.tensor([1.0, torch.nan, 1.0, 2.0, 1.0, 0.0])
    drawn = [spent_by_ranking(estimates, 0, 1, seed).tolist() for seed in range(50)]
    assert drawn[7] == spent_by_ranking(estimates, 0, 1, 7).tolist()
    for spent in drawn:
        assert spent[3] == 1 and spent[5] == 5 and spent[1] == 6
        assert {spent[node] for node in (0, 2, 4)} == {2, 3, 4}
    assert len({tuple(spent) for spent in drawn}) == 6


def test_opposite_effects_cancel_only_outside():
    effects = torch.tensor([[1.0, 2.0], [-1.0, 2.0]])
    assert contributions(effects, abs_inside=True).tolist() == [1, 2]
    assert contributions(effects, abs_inside=False).tolist() == [0, 2]


def test_the_table_keeps_fifty_sizes_for_a_factor_of_ten():
    contribution = random_nodes(4321, 0) + 0.1
    spent = torch.stack([spent_by_ranking(random_nodes(4321, s), 5, 2, s) for s in (1, 2)])
    table = recall_table(contribution, spent, 2)
    sizes = table["k"][table["repeat"] == 0]
    assert list(table) == ["repeat", "k", "cost_100", "cost_90", "oracle"]
    assert sizes.tolist()[:12] == list(range(1, 13)) and sizes.iloc[-1] == 4321
    assert ((sizes > 100) & (sizes <= 1000)).sum() == 50
    one = table[(table["repeat"] == 1) & (table["k"] == 100)]
    assert one["cost_100"].item() == recall_cost(contribution, spent[1], 1.0)[99]
    assert one["cost_90"].item() == recall_cost(contribution, spent[1], 0.9)[99]
    assert one["oracle"].item() == 200


def test_the_summary_is_the_geometric_mean_over_repetitions():
    contribution = random_nodes(50, 0) + 0.1
    spent = torch.stack([spent_by_ranking(random_nodes(50, s), 5, 2, s) for s in (1, 2, 3)])
    summary = recall_summary(contribution, spent, 2)
    each = [relative_cost(recall_cost(contribution, one, 1.0), 2) for one in spent]
    logs = torch.tensor(each).double().log()
    assert summary["relative_cost"] == pytest.approx(logs.mean().exp().item())
    assert summary["relative_cost_spread"] == pytest.approx(logs.std(correction=0).exp().item())
    assert summary["relative_cost_90"] < summary["relative_cost"]
    assert recall_summary(contribution, spent[:1], 2)["relative_cost_spread"] == 1


def test_nothing_to_recall_is_refused():
    with pytest.raises(UserError, match="changes nothing"):
        recall_cost(torch.zeros(3), torch.ones(3), 1.0)

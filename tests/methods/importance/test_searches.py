"""What searches for important nodes spend, against simulations that measure one thing at a time."""

from functools import partial
from math import ceil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.problems import pairs_problem
from support.values import largest

from benchmark.config import configured
from benchmark.seeds import generator
from methods.importance.blocks import effects_of_groups
from methods.importance.hierarchical import search
from methods.importance.iterative import passes_until_verified
from methods.importance.nodes.problem import NodeProblem
from methods.importance.nodes.recall import contributions

SEARCHES = ("activation_patching", "iterative", "blocks", "hierarchical")


def estimated(problem, name, seed=0, **changes):
    method = configured("method", name, **changes)
    asked = NodeProblem.of(problem, method)
    return asked, method.estimate(asked, seed)


mean_magnitude = partial(contributions, abs_inside=True)


@pytest.mark.parametrize("n_pairs", [1, 3])
@pytest.mark.parametrize("name", SEARCHES)
def test_all_nodes_are_verified_with_no_more_than_everything(gpt2, name, n_pairs):
    asked, found = estimated(pairs_problem(gpt2, n_pairs), name)
    n_nodes = len(asked.nodes)
    sets = {
        "blocks": ceil(n_nodes / 20),
        "hierarchical": sum(ceil(n_nodes / 3**n) for n in (1, 2, 3, 4)),
    }
    everything = n_pairs * (2 + n_nodes + sets.get(name, 0))
    assert found.spent.dtype == torch.float64
    assert found.spent.min() > 2 * n_pairs and found.spent.max() <= everything
    if name == "activation_patching":
        assert (found.spent == everything).all()
    else:
        assert len(found.spent.unique()) == n_nodes
    if name in ("iterative", "blocks"):
        assert found.spent.max() == everything


def test_one_pair_is_searched_in_a_random_order(gpt2):
    problem = pairs_problem(gpt2, n_pairs=1)
    orders = [estimated(problem, "iterative", seed)[1].spent for seed in range(4)]
    for spent in orders:
        assert spent.sort().values.tolist() == [2 + n for n in range(1, len(spent) + 1)]
    assert len({tuple(spent.tolist()) for spent in orders}) == 4
    equal = torch.ones(1, 4)
    passes = [passes_until_verified(equal, mean_magnitude, seed) for seed in range(400)]
    assert torch.stack(passes).argmin(1).bincount(minlength=4).min() > 70


def one_measurement_at_a_time(effects, seed, abs_inside):
    """Iterative verification with a counter that moves at every measurement."""
    n_pairs, n_nodes = effects.shape
    draw = generator(seed, "iterative")
    waiting, pairs = (torch.randperm(n, generator=draw).tolist() for n in (n_nodes, n_pairs))
    measured = {node: [] for node in waiting}
    passes, verified_at = 0, {}

    def measure(node, pair):
        nonlocal passes
        passes += 1
        measured[node].append(float(effects[pair, node]))
        if len(measured[node]) == n_pairs:
            verified_at[node] = passes

    def worth(node):
        values = measured[node]
        return sum(map(abs, values)) if abs_inside else abs(sum(values))

    for number, pair in enumerate(pairs):
        for node in waiting:
            measure(node, pair)
        waiting = sorted(waiting, key=lambda node: -worth(node))
        n_best = ceil(n_nodes / n_pairs)
        for node in waiting[:n_best]:
            for left in pairs[number + 1 :]:
                measure(node, left)
        waiting = [node for node in waiting if node not in verified_at]
    return [verified_at[node] for node in range(n_nodes)]


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**30), st.booleans())
def test_several_pairs_are_searched_as_by_a_plain_loop(n_pairs, n_nodes, seed, abs_inside):
    draw = generator(seed, "effects")
    effects = torch.randint(-3, 4, (n_pairs, n_nodes), generator=draw).double()
    worth = partial(contributions, abs_inside=abs_inside)
    found = passes_until_verified(effects, worth, seed).tolist()
    assert found == one_measurement_at_a_time(effects, seed, abs_inside)
    assert max(found) == n_pairs * n_nodes


@pytest.mark.parametrize("abs_inside", [True, False])
@pytest.mark.parametrize("block_size", [7, 8, 1000])
def test_members_of_the_best_block_come_first(gpt2, block_size, abs_inside):
    changes = dict(block_size=block_size, abs_inside=abs_inside)
    asked, found = estimated(pairs_problem(gpt2), "blocks", **changes)
    order = found.spent.argsort()
    assert (found.contribution[order].diff() <= 0).all()
    n_nodes, n_blocks = len(order), ceil(len(order) / block_size)
    wanted = 3 * (2 + n_blocks + torch.arange(1, n_nodes + 1))
    assert torch.equal(found.spent[order], wanted.double())
    assert len(found.contribution.unique()) == n_blocks
    best = found.contribution == found.contribution.max()
    assert best.sum() in (min(block_size, n_nodes), n_nodes % block_size)
    (clean,) = asked.clean_runs()
    together = asked.of_sets(clean, best[None, None])[0]
    assert largest(found.effects[:, best], together[:, None].expand(-1, int(best.sum()))) < 1e-12


def test_members_of_a_block_come_in_random_order(gpt2):
    problem = pairs_problem(gpt2)
    orders = [
        estimated(problem, "blocks", seed, block_size=1000)[1].spent.argsort() for seed in (0, 1)
    ]
    assert not torch.equal(*orders)
    assert all(abs(float(order[:40].double().mean()) - 63.5) < 20 for order in orders)


def test_blocks_of_one_node_are_the_oracle_after_all_of_them(gpt2):
    asked, found = estimated(pairs_problem(gpt2), "blocks", block_size=1)
    assert largest(found.effects, asked.truth) < 1e-12
    truth = asked.contribution(asked.truth)
    in_order = truth[found.spent.argsort()]
    assert (in_order.diff() < 1e-12).all()
    assert found.spent.min() == 3 * (2 + len(truth) + 1)


def test_groups_are_patched_together(gpt2):
    asked = NodeProblem.of(
        pairs_problem(gpt2, n_pairs=4), configured("method", "blocks", batch_size=2)
    )
    group_of = torch.randint(5, (len(asked.nodes),), generator=generator(0, "groups"))
    found = effects_of_groups(asked, group_of)
    assert found.shape == (4, 5)
    for group in range(5):
        chosen = (group_of == group)[None, None]
        wanted = torch.cat([asked.of_sets(clean, chosen)[0] for clean in asked.clean_runs()])
        assert largest(found[:, group], wanted) < 1e-12


def best_first(sets, priority, branching):
    """Sets as tuples of leaves, each level's in order; what is measured is looked for each time."""
    waiting = [(float("inf"), 0, leaves) for leaves in sets[0]]
    turns, measured = {}, 0
    while waiting:
        found = min(waiting, key=lambda one: (-one[0], one[1], one[2]))
        waiting.remove(found)
        measured += 1
        _, level, leaves = found
        if len(leaves) == 1:
            turns[leaves[0]] = measured
        else:
            children = [child for child in sets[level + 1] if set(child) <= set(leaves)]
            assert 1 <= len(children) <= branching
            waiting += [(priority[leaves, level], level + 1, child) for child in children]
    return [turns[leaf] for leaf in range(len(turns))]


@given(st.integers(1, 14), st.integers(2, 4), st.integers(1, 4), st.integers(0, 2**30))
def test_the_tree_is_searched_best_first(n_leaves, branching, n_levels, seed):
    draw = generator(seed, "tree")
    sizes = [branching**level for level in reversed(range(n_levels))]
    sets = [
        [tuple(range(n_leaves))[start : start + size] for start in range(0, n_leaves, size)]
        for size in sizes
    ]
    worth = [torch.randint(4, (len(level),), generator=draw).tolist() for level in sets]
    priority = {
        (leaves, level): worth[level][index]
        for level, of_level in enumerate(sets)
        for index, leaves in enumerate(of_level)
    }
    values = [[float(x) for x in level] for level in worth]
    found = search(values[:-1], n_leaves, branching).tolist()
    assert found == best_first(sets, priority, branching)
    if n_levels == 1:
        assert found == list(range(1, n_leaves + 1))


def test_a_tree_of_one_level_is_a_random_order(gpt2):
    problem = pairs_problem(gpt2)
    first, second = (estimated(problem, "hierarchical", seed, levels=1)[1].spent for seed in (0, 1))
    n_nodes = len(first)
    wanted = (3 * (2 + torch.arange(1, n_nodes + 1))).double()
    assert torch.equal(first.sort().values, wanted) and not torch.equal(first, second)


@pytest.mark.parametrize("levels", [2, 3, 9])
def test_a_search_in_the_tree_measures_sets_together(gpt2, levels):
    """Trees that are higher than there are nodes have no sets of all of them."""
    asked, found = estimated(pairs_problem(gpt2), "hierarchical", levels=levels, branching=3)
    n_nodes, turns = len(asked.nodes), found.spent / 3 - 2
    sizes = [3**level for level in range(1, levels) if 3**level < n_nodes]
    n_sets = n_nodes + sum(ceil(n_nodes / size) for size in sizes)
    assert turns.max() == n_sets and len(turns.unique()) == n_nodes
    assert torch.equal(found.effects, asked.truth)
    if levels > 2:
        return
    assert turns.min() == n_sets - n_nodes + 1
    place = torch.randperm(n_nodes, generator=generator(0, "tree"))
    best = asked.contribution(effects_of_groups(asked, place // 3)).argmax()
    assert (place[turns.argsort()[:3]] // 3 == best).all()

"""Patched keys in closed form against a softmax computed anew, where it is hardest too."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.values import largest

from benchmark.effects.attention import AttentionChange, PatchedKeys, softmax_of

T = 7
VISIBLE = torch.ones(T, T, dtype=torch.bool).tril()


def brute_force(scores, patched, gradient):
    found = torch.zeros(*scores.shape[:2], T, dtype=scores.dtype)
    before = softmax_of(scores, VISIBLE)
    for key in range(T):
        changed = scores.clone()
        changed[..., key] = patched[..., key]
        found[..., key] = ((softmax_of(changed, VISIBLE) - before) * gradient).sum((-1, -2))
    return found


@settings(deadline=None, max_examples=60)
@given(scale=st.sampled_from([0.1, 1.0, 10.0, 60.0]), seed=st.integers(0, 10**6))
def test_all_keys_at_once_equal_each_by_itself(scale, seed):
    draw = torch.Generator().manual_seed(seed)
    scores, patched, gradient = torch.randn(3, 2, 2, T, T, generator=draw, dtype=torch.double)
    scores, patched = scale * scores, scale * patched
    found = PatchedKeys(scores, patched, VISIBLE).effects(gradient)
    assert largest(found, brute_force(scores, patched, gradient)) < 1e-10


def test_a_key_without_weight_may_come_to_rule():
    scores, gradient = torch.zeros(2, 1, 1, T, T, dtype=torch.double)
    scores[..., 0], gradient[..., 3] = 40.0, 1.0
    patched = scores.clone()
    patched[..., 3] = 100.0
    found = PatchedKeys(scores, patched, VISIBLE).effects(gradient)
    # The four queries that see the key move all of their attention to it.
    assert float(found[0, 0, 3]) == pytest.approx(4, abs=1e-12)
    single = PatchedKeys(*(x.float() for x in (scores, patched)), VISIBLE)
    assert float(single.effects(gradient.float())[0, 0, 3]) == pytest.approx(4, abs=1e-6)
    further = scores - 160 * torch.nn.functional.one_hot(torch.tensor(3), T)
    weightless = PatchedKeys(further.float(), patched.float(), VISIBLE)
    assert float(weightless.effects(gradient.float())[0, 0, 3]) == pytest.approx(4, abs=1e-6)


def test_a_key_with_all_the_weight_may_lose_it():
    """In float32 its weight is 1 and the others' sum is lost; what it loses is not."""
    scores, gradient = torch.zeros(2, 1, 1, T, T)
    scores[..., 0], gradient[..., 0] = 40.0, 1.0
    patched = scores.clone()
    patched[..., 0] = 38.0
    found = PatchedKeys(scores, patched, VISIBLE).effects(gradient)[0, 0, 0]
    wanted = brute_force(scores.double(), patched.double(), gradient.double())[0, 0, 0]
    assert float(found) == pytest.approx(float(wanted), rel=1e-5) and float(found) < 0


def test_a_query_that_sees_one_key_cannot_turn_away():
    visible = torch.eye(T, dtype=torch.bool)
    draw = torch.Generator().manual_seed(0)
    scores, patched, gradient = torch.randn(3, 1, 1, T, T, generator=draw)
    found = PatchedKeys(scores, 100 * patched, visible).effects(gradient)
    assert torch.equal(found, torch.zeros_like(found))


def test_keys_of_a_group_count_for_all_its_queries(models):
    """Of grouped-query attention a key node has the sum over the query heads that share it."""
    model = models["llama"]
    shape, block = model.shape, model.weights.layers[0].attention
    groups = shape.n_heads // shape.n_key_value_heads
    assert groups > 1
    draw = torch.Generator().manual_seed(0)

    def sites(seed):
        sizes = {"q": shape.n_heads, "k": shape.n_key_value_heads, "v": shape.n_key_value_heads}
        from benchmark.transformer.sites import Site

        return {
            Site(name): torch.randn(n, 1, 2, T, shape.d_head, generator=draw, dtype=torch.double)
            for name, n in sizes.items()
        }

    clean, difference = sites(0), sites(1)
    gradient = torch.randn(shape.n_heads, 1, 2, T, shape.d_head, generator=draw).double()
    change = AttentionChange(block, clean, difference, VISIBLE, keys_together=False)
    (keys,) = (x for site, x in change.effects(gradient).items() if site.value == "k")
    assert keys.shape == (2, shape.n_key_value_heads, T)

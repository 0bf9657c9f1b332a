"""The areas of curves, against sums done by hand and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.statistics.areas import (
    MIB_SHARES,
    Curve,
    cpr_and_cmd,
    cpr_and_cmd_of_draws,
    log_area,
    ndf,
    ndf_area,
    pessimistic_auroc,
    share_auroc,
)


def curve(values, n_edges=1000, empty=-1.0, full=3.0, sizes=None):
    sizes = [int(share * n_edges) for share in MIB_SHARES] if sizes is None else sizes
    return Curve(sizes, values, empty, full, n_edges)


def test_a_perfect_curve_has_the_published_ends():
    """A faithfulness of 1 everywhere gives CPR .999 and CMD 0 (Mueller et al. 2025)."""
    cpr, cmd = cpr_and_cmd(curve([3.0] * 10))
    assert cpr == pytest.approx(0.999)
    assert cmd == pytest.approx(0.0)
    cpr, cmd = cpr_and_cmd(curve([-1.0] * 9 + [3.0]))
    # Only the last step rises: a triangle of base 0.5.
    assert cpr == pytest.approx(0.25)
    assert cmd == pytest.approx(0.999 - 0.25)


def test_cpr_and_cmd_by_hand():
    values = [-1.0, 0.0, 1.0, 1.0, 2.0, 4.0, 4.0, 3.0, 3.0, 3.0]
    f = [(value + 1) / 4 for value in values]
    by_hand = sum((MIB_SHARES[i + 1] - MIB_SHARES[i]) * (f[i] + f[i + 1]) / 2 for i in range(9))
    distance = sum(
        (MIB_SHARES[i + 1] - MIB_SHARES[i]) * (abs(1 - f[i]) + abs(1 - f[i + 1])) / 2
        for i in range(9)
    )
    assert cpr_and_cmd(curve(values)) == pytest.approx((by_hand, distance))
    assert all(np.isnan(cpr_and_cmd(curve(values, empty=3.0))))


def test_a_size_without_a_circuit_takes_the_largest_smaller_one():
    found = curve([1.0, 2.0, 2.5], sizes=[10, 200, 200])
    assert [found.at(size) for size in (0, 9, 10, 199, 200, 999, 1000)] == [
        -1.0, -1.0, 1.0, 1.0, 2.25, 2.25, 3.0,
    ]  # fmt: skip


def test_the_log_area_is_the_mean_exponent():
    assert log_area(curve([0.01], empty=0.01, sizes=[10])) == pytest.approx(-2)
    # From 10 to 500 edges; the gap falls from 1 to 0.1 at 70.7 = sqrt(10 * 500) edges.
    half = log_area(curve([0.1], empty=1.0, full=0.0, sizes=[71]))
    assert half == pytest.approx(-0.5, abs=0.01)
    # A larger circuit that is worse than a smaller one costs nothing.
    assert log_area(curve([0.1, 5.0], empty=1.0, sizes=[10, 100])) == pytest.approx(-1)
    # A gap of zero counts as the floor.
    assert log_area(curve([0.0], empty=0.0, sizes=[1])) == pytest.approx(-4)


def test_aurocs_of_a_perfect_and_of_a_reversed_ranking():
    truth = np.array([1, 1, 0, 0, 0], dtype=bool)
    nested = np.tril(np.ones((5, 5), dtype=bool))
    assert pessimistic_auroc(nested, truth) == 1.0
    assert share_auroc(nested, truth) == 1.0
    backwards = nested[:, ::-1]
    assert pessimistic_auroc(backwards, truth) == 0.0
    assert share_auroc(backwards, truth) == 0.0


def test_the_pessimistic_staircase_by_hand():
    """One circuit with a true-positive rate of 1/2 and a false-positive rate of 1/3."""
    truth = np.array([1, 1, 0, 0, 0], dtype=bool)
    one = np.array([[1, 0, 1, 0, 0]], dtype=bool)
    assert pessimistic_auroc(one, truth) == pytest.approx((1 - 1 / 3) * 0.5)
    dominated = np.array([[1, 0, 1, 0, 0], [1, 0, 1, 1, 0]], dtype=bool)
    assert pessimistic_auroc(dominated, truth) == pytest.approx((1 - 1 / 3) * 0.5)


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_the_pessimistic_area_is_a_lower_bound(rows):
    truth = np.array([1, 1, 1, 0, 0, 0], dtype=bool)
    nested = np.logical_or.accumulate(np.array(rows, dtype=bool))
    assert 0 <= pessimistic_auroc(nested, truth) <= share_auroc(nested, truth) + 1e-12


@pytest.mark.parametrize("sizes", [[], [0], [1000], [0, 1000]])
def test_an_area_needs_a_circuit_that_is_neither_empty_nor_the_whole_model(sizes):
    nothing = curve([0.5] * len(sizes), sizes=sizes)
    assert np.isnan([log_area(nothing), *cpr_and_cmd(nothing)]).all()
    assert np.isnan(log_area(curve([0.5], sizes=[501])))
    assert not np.isnan(log_area(curve([0.5], sizes=[500])))


def test_cpr_and_cmd_of_draws_are_those_of_every_curve():
    random, sizes = np.random.default_rng(0), [5, 20, 20, 300]
    values, empty = random.normal(size=(4, 6)), random.normal(size=6)
    full = empty + random.normal(size=6)
    full[2] = empty[2]
    found = cpr_and_cmd_of_draws(sizes, values, empty, full, 1000)
    for draw, pair in enumerate(zip(*found, strict=True)):
        ends = {"empty": float(empty[draw]), "full": float(full[draw])}
        one = curve(values[:, draw].tolist(), sizes=sizes, **ends)
        np.testing.assert_allclose(pair, cpr_and_cmd(one))
    assert np.isnan(found[0][2]) and np.isfinite(np.delete(found[0], 2)).all()


def test_ndf_by_hand():
    """Of one prompt each: halfway, beyond the full model, wrong way, ends alike, nearly alike."""
    empty = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    full = np.array([4.0, 4.0, 4.0, 1.0, 1.0, 1.001])
    circuit = np.array([[2.0, 5.0, -3.0, 1.0, 3.0, 3.0]])
    assert ndf(circuit, empty, full)[0].tolist() == pytest.approx([0.5, 0.75, 0.0, 1.0, 0.0, 0.0])


def test_the_area_under_ndf_by_hand():
    values = [0.1, 0.2, 0.2, 0.5, 0.5, 0.6, 0.8, 0.8, 0.9, 1.0]
    area = sum(
        (MIB_SHARES[i + 1] - MIB_SHARES[i]) * (values[i] + values[i + 1]) / 2 for i in range(9)
    )
    assert ndf_area(curve(values, empty=0.0, full=1.0)) == pytest.approx(area)
    assert np.isnan(ndf_area(curve([], empty=0.0, full=1.0, sizes=[])))

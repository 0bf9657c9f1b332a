"""Faithfulness between two ends, and its noise, against loops over resampled prompts."""

import numpy as np
import pytest
import torch

from benchmark.evaluation.circuits import CircuitScores
from benchmark.evaluation.normalised import (
    area_intervals,
    difference_of_ends,
    faithfulness_columns,
    is_noise,
)
from benchmark.statistics.areas import Curve, cpr_and_cmd
from benchmark.statistics.bootstrap import INTERVAL, resampled_means

SIZES, N_EDGES = [10, 40], 100


def scores(distance, n_prompts=12):
    """Two circuits between two ends that are about so far apart."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, n_prompts, generator=random)

    empty = draw()
    parts = {"empty": empty, "full": empty + distance + draw(), "circuits": empty + draw(2)}
    return CircuitScores(**{name: {"logit_difference": value} for name, value in parts.items()})


def drawn(found):
    """The means of each resample: of both circuits, of the empty one, of the whole model."""
    rows = torch.cat(
        [
            found.circuits["logit_difference"],
            found.empty["logit_difference"][None],
            found.full["logit_difference"][None],
        ]
    )
    return resampled_means(rows.numpy()).T


def test_intervals_are_those_of_resampled_prompts_with_their_ends():
    found = scores(distance=3.0)
    columns, areas = faithfulness_columns(found), area_intervals(SIZES, found, N_EDGES)
    shares, cprs = [], []
    for *circuits, empty, full in drawn(found):
        shares.append((np.array(circuits) - empty) / (full - empty))
        values = np.array([*circuits, empty, full]).tolist()
        cprs.append(cpr_and_cmd(Curve(SIZES, values[:2], *values[2:], N_EDGES))[0])
    low, high = np.percentile(shares, INTERVAL, axis=0)
    np.testing.assert_allclose(columns["faithfulness_low"], low, rtol=1e-5)
    np.testing.assert_allclose(columns["faithfulness_high"], high, rtol=1e-5)
    assert (areas["cpr_low"], areas["cpr_high"]) == pytest.approx(np.percentile(cprs, INTERVAL))


def test_ndf_is_a_mean_over_prompts_and_stays_between_0_and_1_where_faithfulness_does_not():
    found = scores(distance=0.0)
    columns = faithfulness_columns(found)
    assert ((columns["ndf"] >= 0) & (columns["ndf"] <= 1)).all()
    assert (columns["ndf_low"] <= columns["ndf"]).all()
    assert np.abs(columns["faithfulness_high"]).max() > 5
    metric, empty, full = (
        part["logit_difference"].double() for part in (found.circuits, found.empty, found.full)
    )
    by_hand = [
        [
            1 - min(float(abs(f - c) / abs(f - e)), 1)
            for c, e, f in zip(row, empty, full, strict=True)
        ]
        for row in metric
    ]
    assert columns["ndf"] == pytest.approx(np.mean(by_hand, axis=1))


def test_ends_that_may_be_equal_are_noise():
    far, near = (difference_of_ends(scores(distance)) for distance in (3.0, 0.0))
    assert not is_noise(far) and is_noise(near)
    assert far["logit_difference_low"] < far["logit_difference"] < far["logit_difference_high"]

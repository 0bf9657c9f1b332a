"""What circuits are measured by where claims are tested, against numbers by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.made.records import record, results

from benchmark.graph.circuits_file import StoredCircuits
from benchmark.graph.graph import ComputationalGraph
from benchmark.records.record import CIRCUITS_FILE
from benchmark.report.circuits.measures import measure

GRAPH = ComputationalGraph(2, 4)


def kept(place, *edges):
    """A file of two circuits: these edges, and all."""
    exists = GRAPH.exists.numpy()
    some = np.zeros(exists.size, dtype=np.float32)
    some[np.flatnonzero(exists)[list(edges)]] = 1
    keep = np.stack([some.reshape(exists.shape), exists.astype(np.float32)])
    place.mkdir()
    StoredCircuits(GRAPH.outline, keep, ("some", "all"), (len(edges), GRAPH.n_edges)).write(
        place / CIRCUITS_FILE
    )


def test_the_jaccard_index_is_the_mean_over_other_seeds_of_the_same_cell(tmp_path):
    edges = {"a0": (0, 1), "a1": (1, 2), "a2": (0, 1), "b0": (5,)}
    records = [record(key, key[0], seed=int(key[1]), n_edges=GRAPH.n_edges) for key in edges]
    for key, some in edges.items():
        kept(tmp_path / key, *some)
    found = results(*records)
    found = replace(found, paths={key: tmp_path / key for key in edges})
    values = {key: m.value for key, m in measure(found, records, "jaccard_of_seeds").items()}
    third = pytest.approx((1 / 3 + 1) / 2)
    assert values == {"a0": third, "a1": pytest.approx(1 / 3), "a2": third, "b0": pytest.approx(
        float("nan"), nan_ok=True
    )}  # fmt: skip


def test_passes_are_counted_for_each_training_prompt_and_exactly():
    cost = {"method": {"forward": 16.0, "backward": 8.0, "seconds": 1.0}}
    one = record("one", cost=cost)
    found = {
        name: measure(results(one), [one], name)["one"]
        for name in ("forward_passes", "backward_passes", "passes")
    }
    assert {name: m.value for name, m in found.items()} == {
        "forward_passes": 2, "backward_passes": 1, "passes": 24,
    }  # fmt: skip
    assert all(m.low == m.value == m.high for m in found.values())


def test_scores_are_those_under_the_ablation_of_the_search():
    areas = {"mean": {"cmd": 0.25}, "zero": {"cmd": 0.75}}
    own, other = record("own", areas=areas), record("other", areas={"zero": {"cmd": 0.75}}, seed=1)
    found = replace(results(own, other), tables=pd.DataFrame())
    values = measure(found, [own, other], "cmd")
    assert values["own"].value == 0.25
    assert np.isnan(values["other"].value)

"""How alike seeds of one cell are, on a made-up method whose circuits and scores are known."""

from dataclasses import replace

import numpy as np
import pytest
from support.made.records import AREAS, COST, drawn, record, results

from benchmark.graph.circuits_file import StoredCircuits, StoredScores
from benchmark.graph.graph import ComputationalGraph
from benchmark.records.record import CIRCUITS_FILE, SCORES
from benchmark.report.circuits.board import tables
from benchmark.report.circuits.scores import score_table
from benchmark.report.circuits.stability import Stability
from benchmark.report.protocol import Asked
from benchmark.report.score import Score

GRAPH = ComputationalGraph(1, 2)
N_EDGES = GRAPH.n_edges
# Of each record, the edges of its circuit and the scores of all 13 edges.
KNOWN = {
    "a0": ((0, 1, 2), np.arange(N_EDGES)),
    "a1": ((1, 2, 3), np.arange(N_EDGES) ** 3),
    "a2": ((0, 1, 2), -np.arange(N_EDGES)),
    "b0": ((4,), np.arange(N_EDGES)),
    "c0": ((5, 6), None),
    "c1": ((6, 7), None),
}


@pytest.fixture
def found(tmp_path):
    exists, made = GRAPH.exists.numpy(), []
    for key, (edges, scores) in KNOWN.items():
        place = tmp_path / key
        place.mkdir()
        keep, value = np.zeros(exists.shape, np.float32), np.full(exists.shape, -1e9)
        keep.flat[np.flatnonzero(exists)[list(edges)]] = 1
        circuits = np.stack([keep, exists.astype(np.float32)])
        StoredCircuits(GRAPH.outline, circuits, ("some", "all"), (len(edges), N_EDGES)).write(
            place / CIRCUITS_FILE
        )
        one = record(key, key[0], seed=int(key[1]), n_edges=N_EDGES, cost=COST, areas=AREAS)
        if scores is not None:
            value[exists] = scores
            StoredScores(GRAPH.outline, value[None], ("",), (True,)).write(place / SCORES)
            one = replace(one, files=one.files | {SCORES: "0" * 64})
        made.append(one)
    paths = {key: tmp_path / key for key in KNOWN}
    return replace(drawn(results(*made)), paths=paths)


def test_an_outline_knows_the_edges_of_its_graph():
    for graph in (GRAPH, ComputationalGraph(3, 2), ComputationalGraph(2, 3, parallel=True)):
        assert np.array_equal(graph.outline.exists, graph.exists.numpy())


def test_likeness_is_the_mean_over_other_seeds_of_the_same_cell(found):
    stability, records = Stability(found), found.records
    alike = {key: stability.jaccard(records[key], 0.5) for key in KNOWN}
    assert alike == pytest.approx(
        {"a0": 0.75, "a1": 0.5, "a2": 0.75, "b0": np.nan, "c0": 1 / 3, "c1": 1 / 3}, nan_ok=True
    )
    # At a size below that of every circuit there is nothing to compare.
    assert np.isnan(stability.jaccard(records["a0"], 0.1))
    ranks = {key: stability.rank_correlation(records[key]) for key in KNOWN}
    # Cubes rank as their roots do; the third ranks the other way round.
    assert ranks == pytest.approx(
        {"a0": 0.0, "a1": 0.0, "a2": -1.0, "b0": np.nan, "c0": np.nan, "c1": np.nan}, nan_ok=True
    )


def test_they_are_scores_and_columns_of_every_leaderboard(found):
    rows = score_table(found, Score("jaccard", 0.5)).set_index("key")["value"]
    assert rows["a1"] == 0.5 and np.isnan(rows["b0"])
    asked = Asked(Score("cmd", 0.5), allow_missing=True)
    (made,) = tables(found, asked)
    assert made.table.loc["a", "Jaccard at 50%"] == "0.67"
    assert made.table["rank correlation"].to_dict() == {"a": "-0.33", "b": "-", "c": "-"}
    (made,) = tables(found, Asked(Score("rank_correlation", 0.5), allow_missing=True))
    assert made.table.loc["a", "ioi"].startswith("-0.333 ±")


def test_without_other_seeds_there_is_no_such_column(found):
    alone = replace(found, records={"b0": found.records["b0"]}, tables=found.tables[
        found.tables["key"] == "b0"
    ])  # fmt: skip
    (made,) = tables(alone, Asked(Score("cmd", 0.5)))
    assert not [name for name in made.table if name.startswith(("Jaccard", "rank corr"))]

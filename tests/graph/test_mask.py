import json

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.graph.mask import EdgeMask, Pruning, stack
from benchmark.graph.overlap import component_overlap, edge_overlap
from benchmark.graph.pruning import drop_dead_ends, drop_unfed
from benchmark.graph.scores import EdgeScores
from benchmark.method.circuits import FoundCircuit
from benchmark.method.found import load_circuits, load_scores, save_circuits, save_scores
from benchmark.seeds import generator
from benchmark.tensors import read_arrays, write_arrays

graphs = st.builds(ComputationalGraph, st.integers(1, 3), st.integers(1, 3), st.booleans())
seeds = st.integers(0, 2**30)


def random_mask(graph, density, seed):
    draw = torch.rand(graph.exists.shape, generator=generator(seed, "mask"))
    return EdgeMask(graph, (draw < density).float() * graph.exists)


def random_scores(graph, seed, signed=True, ties=False):
    value = torch.randn(graph.exists.shape, generator=generator(seed, "scores"))
    return EdgeScores(graph, value.round() if ties else value, signed)


def as_network(mask):
    """Heads and MLPs as single nodes joined by the kept edges."""
    graph, network = mask.graph, networkx.DiGraph()
    network.add_nodes_from(["input", "logits"])
    for u, v in mask.keep.nonzero().tolist():
        network.add_edge(graph.sources[u], graph.destinations[v].split("<")[0])
    return network


@given(graphs, st.floats(0, 0.5), seeds)
def test_pruning_keeps_exactly_the_edges_on_paths(graph, density, seed):
    mask = random_mask(graph, density, seed)
    network = as_network(mask)
    to_logits = networkx.ancestors(network, "logits") | {"logits"}
    from_input = networkx.descendants(network, "input") | {"input"}

    def expected(ok):
        names = [(name, name.split("->")) for name in mask.edges()]
        return [name for name, (u, v) in names if ok(u, v.split("<")[0])]

    dead_ends = mask.pruned(Pruning.dead_ends)
    assert dead_ends.edges() == expected(lambda u, v: v in to_logits)
    dangling = mask.pruned(Pruning.dangling)
    assert dangling.edges() == expected(lambda u, v: u in from_input and v in to_logits)
    assert dangling.pruned(Pruning.dangling).edges() == dangling.edges()


@pytest.mark.slow
@given(graphs, seeds)
def test_each_mask_is_pruned_for_itself(graph, seed):
    masks = [random_mask(graph, density, seed + i) for i, density in enumerate((0.05, 0.2, 0.6))]
    together = drop_unfed(graph, drop_dead_ends(graph, stack(masks)))
    for mask, row in zip(masks, together, strict=True):
        assert torch.equal(mask.pruned(Pruning.dangling).keep, row)


@given(graphs, seeds, st.booleans(), st.booleans(), st.data())
def test_top_has_the_size_asked_for_and_is_nested(graph, seed, signed, ties, data):
    scores = random_scores(graph, seed, signed, ties)
    n = data.draw(st.integers(0, graph.n_edges - 1))
    smaller, larger = scores.top(n), scores.top(n + 1)
    assert (smaller.size, larger.size) == (n, n + 1)
    assert bool((smaller.keep <= larger.keep).all())
    kept = scores.rank_by[smaller.keep > 0]
    left = scores.rank_by[(smaller.keep == 0) & graph.exists]
    if n:
        assert kept.min() >= left.max()


def test_signed_and_absolute_rankings_differ_where_they_should():
    graph = ComputationalGraph(1, 1)
    value = torch.zeros(graph.exists.shape)
    value[graph.edge("input->m0")], value[graph.edge("m0->logits")] = -3.0, 1.0
    scores = EdgeScores(graph, value, signed=True)
    assert scores.top(1).edges() == ["m0->logits"]
    assert scores.absolute().top(1).edges() == ["input->m0"]
    assert scores.threshold(0.5).edges() == ["m0->logits"]
    assert scores.absolute().threshold(0.5).edges() == ["input->m0", "m0->logits"]


@given(graphs, seeds, st.data())
def test_greedy_takes_the_best_edge_into_the_circuit_each_time(graph, seed, data):
    scores = random_scores(graph, seed)
    n = data.draw(st.integers(0, graph.n_edges))
    grown = scores.greedy(n)
    assert grown.size == n
    assert grown.pruned(Pruning.dead_ends).size == n
    nodes, kept = {None}, set()
    for _ in range(n):
        available = [
            (u, v) for u, v in graph.exists.nonzero().tolist()
            if graph.writer_of[v] in nodes and (u, v) not in kept
        ]  # fmt: skip
        best = max(available, key=lambda edge: float(scores.value[edge]))
        kept.add(best)
        nodes.add(best[0])
    assert {tuple(edge) for edge in grown.keep.nonzero().tolist()} == kept


def test_greedy_differs_from_top():
    graph = ComputationalGraph(1, 1)
    value = torch.zeros(graph.exists.shape)
    value[graph.edge("input->m0")] = 2.0
    value[graph.edge("a0.h0->logits")] = 1.0
    scores = EdgeScores(graph, value, signed=True)
    assert scores.top(1).edges() == ["input->m0"]
    assert scores.greedy(1).edges() == ["a0.h0->logits"]


@pytest.mark.slow
@given(graphs, st.floats(0, 1), seeds)
def test_saved_masks_and_scores_come_back(tmp_path_factory, graph, density, seed):
    path = tmp_path_factory.mktemp("masks") / "mask.safetensors"
    mask = random_mask(graph, density, seed)
    save_circuits(path, [FoundCircuit(mask)])
    (again,) = (found.mask for found in load_circuits(path))
    assert again.graph == graph
    assert torch.equal(again.keep, mask.keep)
    for signed in (True, False):
        scores = random_scores(graph, seed, signed)
        save_scores(path, {"": scores})
        loaded = load_scores(path)[""]
        assert loaded.signed is signed
        assert torch.equal(loaded.value, scores.value)


def test_file_names_its_axes_for_other_readers(tmp_path):
    graph = ComputationalGraph(1, 2)
    save_circuits(tmp_path / "mask.safetensors", [FoundCircuit(EdgeMask.full(graph))])
    with safe_open(tmp_path / "mask.safetensors", framework="np") as file:
        assert json.loads(file.metadata()["sources"]) == list(graph.sources)
        assert json.loads(file.metadata()["destinations"]) == list(graph.destinations)
        bits = np.unpackbits(file.get_tensor("keep_bits"), axis=1)[:, : graph.exists.numel()]
        assert (bits.reshape(graph.exists.shape) == graph.exists.numpy()).all()
    assert [entry.name for entry in tmp_path.iterdir()] == ["mask.safetensors"]


def test_edges_kept_in_part_and_files_of_before_there_were_bits_come_back(tmp_path):
    graph, path = ComputationalGraph(1, 2), tmp_path / "mask.safetensors"
    for keep in (0.5 * graph.exists.float(), graph.exists.float()):
        save_circuits(path, [FoundCircuit(EdgeMask(graph, keep))])
        whole = float(keep.max()) == 1
        assert (set(read_arrays(path)[0]) == {"keep_bits"}) is whole
        assert torch.equal(load_circuits(path)[0].mask.keep, keep)
        header = read_arrays(path)[1]
        write_arrays(path, {"keep": keep.numpy()[None]}, header)
        assert torch.equal(load_circuits(path)[0].mask.keep, keep)
    write_arrays(path, {"keep_bits": np.zeros((1, 1), dtype=np.uint8)}, header)
    with pytest.raises(UserError, match="is damaged: ValueError"):
        load_circuits(path)


@pytest.mark.parametrize("damage", ["missing", "truncated", "other tensor", "text"])
def test_unreadable_files_are_explained(tmp_path, damage):
    path = tmp_path / "mask.safetensors"
    graph = ComputationalGraph(1, 1)
    if damage == "truncated":
        save_circuits(path, [FoundCircuit(EdgeMask.full(graph))])
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == "other tensor":
        save_scores(path, {"": random_scores(graph, 0)})
    elif damage == "text":
        path.write_text("nothing of the kind")
    with pytest.raises(UserError, match=r"mask\.safetensors"):
        load_circuits(path)


def test_names_make_a_circuit_and_nodes_share_one_value():
    graph = ComputationalGraph(2, 2)
    names = ["a0.h1->a1.h0<k>", "input->logits"]
    assert sorted(EdgeMask.of_edges(graph, names).edges()) == sorted(names)
    keep = torch.zeros(graph.n_sources)
    keep[graph.source_index["m0"]] = 0.25
    nodes = EdgeMask.of_components(graph, keep)
    assert all(name.startswith("m0->") for name in nodes.edges())
    assert (nodes.n_components, set(nodes.keep.unique().tolist())) == (1, {0.0, 0.25})
    assert EdgeMask.full(graph).density == 1
    assert EdgeMask.empty(graph).size == 0


def test_bad_matrices_are_refused():
    graph = ComputationalGraph(1, 1)
    with pytest.raises(UserError, match="shape"):
        EdgeMask(graph, torch.zeros(2, 2))
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        EdgeMask(graph, graph.exists.float() * 2)
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        EdgeMask(graph, graph.exists.float() * torch.nan)
    with pytest.raises(UserError, match="no edge"):
        EdgeMask(graph, torch.ones(graph.exists.shape))
    for bad in (torch.nan, torch.inf, -torch.inf):
        with pytest.raises(UserError, match="finite"):
            EdgeScores(graph, torch.full(graph.exists.shape, bad), signed=True)
    assert random_scores(graph, 0).threshold(-torch.inf).size == graph.n_edges
    with pytest.raises(UserError, match=f"the graph has {graph.n_edges}"):
        random_scores(graph, 0).top(graph.n_edges + 1)
    with pytest.raises(UserError, match="cannot be stacked"):
        stack([EdgeMask.full(graph), EdgeMask.full(ComputationalGraph(1, 2))])


def test_overlap_counts_by_hand():
    graph = ComputationalGraph(1, 1)
    found = EdgeMask.of_edges(graph, ["input->m0", "m0->logits", "a0.h0->m0"])
    reference = EdgeMask.of_edges(graph, ["input->m0", "m0->logits", "input->logits"])
    edges = edge_overlap(found, reference)
    assert (edges.jaccard, edges.precision, edges.recall) == (2 / 4, 2 / 3, 2 / 3)
    assert edges.false_positive_rate == 1 / (graph.n_edges - 3)
    nodes = component_overlap(found, reference)
    assert (nodes.jaccard, nodes.precision, nodes.recall) == (2 / 3, 2 / 3, 1.0)
    with pytest.raises(UserError, match="different graphs"):
        edge_overlap(found, EdgeMask.full(ComputationalGraph(2, 1)))


@given(graphs, seeds)
def test_overlap_laws(graph, seed):
    a, b = random_mask(graph, 0.4, seed), random_mask(graph, 0.4, seed + 1)
    assert edge_overlap(a, a).jaccard == edge_overlap(a, a).recall == 1
    assert edge_overlap(a, b).jaccard == edge_overlap(b, a).jaccard
    assert edge_overlap(a, b).precision == edge_overlap(b, a).recall
    empty = EdgeMask.empty(graph)
    assert edge_overlap(empty, a).false_positive_rate == 0
    assert edge_overlap(EdgeMask.full(graph), a).recall == 1

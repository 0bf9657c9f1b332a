import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Qwen2Config,
)

from benchmark.errors import UserError
from benchmark.graph.graph import ComputationalGraph
from benchmark.models.loading import graph_of_config

graphs = st.builds(ComputationalGraph, st.integers(1, 4), st.integers(1, 4), st.booleans())


@pytest.mark.parametrize(
    ("config", "n_sources", "n_destinations", "n_edges"),
    [
        (GPT2Config(), 157, 445, 32_491),
        (GPT2Config(n_layer=48, n_head=25, n_embd=1600), 1_249, 3_649, 2_235_025),
        (
            GPTNeoXConfig(num_hidden_layers=32, num_attention_heads=32, hidden_size=2560),
            1_057, 3_105, 1_591_857,
        ),
        (
            Qwen2Config(num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2,
                        hidden_size=896),
            361, 1_033, 179_749,
        ),
        (
            Gemma2Config(num_hidden_layers=26, num_attention_heads=8, num_key_value_heads=4,
                         hidden_size=2304),
            235, 651, 74_218,
        ),
        (
            LlamaConfig(num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8),
            1_057, 3_105, 1_592_881,
        ),
        (GPT2Config(n_layer=6, n_head=4, n_embd=64), 31, 79, 1_108),
    ],
)  # fmt: skip
def test_published_counts(config, n_sources, n_destinations, n_edges):
    graph = graph_of_config(config)
    assert len(graph.sources) == graph.n_sources == n_sources
    assert len(graph.destinations) == graph.n_destinations == n_destinations
    assert int(graph.exists.sum()) == graph.n_edges == n_edges


@given(graphs)
def test_edges_are_exactly_those_that_run_forward(graph):
    """Compare with a definition by order of execution instead of prefixes."""

    def when(name: str) -> tuple[int, int]:
        if name in ("input", "logits"):
            return (-1, 0) if name == "input" else (graph.n_layers, 0)
        layer = int(name[1:].split(".")[0])
        return layer, int(name.startswith("m") and not graph.parallel)

    for u, source in enumerate(graph.sources):
        for v, destination in enumerate(graph.destinations):
            assert bool(graph.exists[u, v]) == (when(source) < when(destination))


@given(graphs)
def test_names_and_indices_are_inverse(graph):
    for u, v in graph.exists.nonzero().tolist():
        assert graph.edge(graph.edge_name(u, v)) == (u, v)
    assert len(set(graph.sources)) == graph.n_sources
    assert len(set(graph.destinations)) == graph.n_destinations


@given(graphs)
def test_destinations_feed_their_own_node(graph):
    for destination, writer in zip(graph.destinations, graph.writer_of, strict=True):
        expected = destination.split("<")[0]
        assert (expected == "logits") if writer is None else graph.sources[writer] == expected


def test_stages_cover_all_destinations_once():
    graph = ComputationalGraph(3, 2)
    covered = [v for stage in graph.stages() for v in range(stage.start, stage.stop)]
    assert covered == list(range(graph.n_destinations))
    split = [graph.q_stage(1), graph.kv_stage(1)]
    assert [split[0].start, split[1].stop] == [graph.qkv_stage(1).start, graph.qkv_stage(1).stop]
    assert split[0].stop == split[1].start


def test_parallel_blocks_do_not_read_their_own_attention():
    serial, parallel = ComputationalGraph(2, 3), ComputationalGraph(2, 3, parallel=True)
    assert serial.exists[serial.edge("a1.h0->m1")]
    with pytest.raises(UserError, match=r"m1 is computed before a1\.h0"):
        parallel.edge("a1.h0->m1")
    assert serial.n_edges - parallel.n_edges == 2 * 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a0.h1", "write source->destination"),
        ("a0.h9->m1", r"'a0.h9' is not a source"),
        ("inputs->m1", "did you mean 'input'"),
        ("a0.h1->a1.h1", "'a1.h1' is not a destination"),
        ("m1->m0", "m0 is computed before m1"),
    ],
)
def test_bad_edge_names_are_explained(name, message):
    with pytest.raises(UserError, match=message):
        ComputationalGraph(2, 2).edge(name)


def test_graph_is_hashable_and_compares_by_value():
    assert ComputationalGraph(2, 2) == ComputationalGraph(2, 2)
    assert len({ComputationalGraph(2, 2), ComputationalGraph(2, 2, True)}) == 2
    assert ComputationalGraph(2, 2).exists.dtype == torch.bool

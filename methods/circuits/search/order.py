"""The order in which ACDC tests edges (Conmy et al. 2023, arXiv 2304.14997, algorithm 1).

Readers from the logits backwards; a layer's MLP, then its heads: all values, all keys, all
queries. The sources of a reader from the latest backwards, an MLP before the heads of its layer,
heads in increasing order. Readers of one layer's attention read the same sources, so they form one
phase, whose tests all start from the same layer of the forward pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.graph.graph import ComputationalGraph, Stage


@dataclass(frozen=True)
class Test:
    """Edges that are removed together: one edge, or all edges into a reader."""

    sources: tuple[int, ...]
    destination: int


@dataclass(frozen=True)
class Phase:
    """Tests in order, with the layer that they all start from (at the logits: behind the last)."""

    layer: int
    tests: tuple[Test, ...]


def phases(graph: ComputationalGraph, projections: bool, last_head_first: bool) -> list[Phase]:
    """All tests in order.

    Args:
        graph: the graph.
        projections: whether all edges into a head's query, key or value are first tested together.
        last_head_first: the order of a layer's heads as readers.
    """
    found = [Phase(graph.n_layers, tuple(_edges(graph, graph.logits_stage(), 0)))]
    for layer in reversed(range(graph.n_layers)):
        found.append(Phase(layer, tuple(_edges(graph, graph.mlp_stage(layer), 0))))
        stage, heads = graph.qkv_stage(layer), list(range(graph.n_heads))
        heads = heads[::-1] if last_head_first else heads
        readers = [letter * graph.n_heads + head for letter in (2, 1, 0) for head in heads]
        everything = tuple(_latest_first(graph, stage.n_sources))
        whole = [Test(everything, stage.start + reader) for reader in readers if projections]
        single = [test for reader in readers for test in _edges(graph, stage, reader)]
        found.append(Phase(layer, (*whole, *single)))
    return found


def _edges(graph: ComputationalGraph, stage: Stage, reader: int) -> Iterator[Test]:
    for source in _latest_first(graph, stage.n_sources):
        yield Test((source,), stage.start + reader)


def _latest_first(graph: ComputationalGraph, n_sources: int) -> Iterator[int]:
    """The first `n_sources` sources, those of later layers first, an MLP before its heads."""
    for layer in reversed(range(graph.n_layers)):
        mlp, heads = graph.mlp_source(layer), graph.head_source(layer)
        yield from (s for s in (mlp, *range(heads, mlp)) if s < n_sources)
    yield 0

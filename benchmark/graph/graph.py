"""The canonical computational graph: every transformer as sources, destinations and edges.

A *source* writes into the residual stream (`input`, head `a5.h1`, MLP `m7`); a *destination*
reads it (`a5.h1<q>`, `a5.h1<k>`, `a5.h1<v>`, `m7`, `logits`). An edge joins a source to every
destination that is computed later; in a parallel block (GPT-NeoX) the MLP does not read the
attention of its own layer. Grouped-query attention keeps one key and one value destination per
query head. This is the residual-rewrite graph of EAP-IG, MIB and auto-circuit: 157 sources,
445 destinations and 32,491 edges for GPT-2 small. Attention output biases belong to no source.

Sources are ordered `input`, then per layer its heads and its MLP; destinations per layer its
q, k and v readers and its MLP, then `logits`. So a destination always reads a prefix of the
sources, and all readers of one block are neighbours: the forward pass depends on both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool
from torch import Tensor

from benchmark.errors import UserError, near
from benchmark.graph.circuits_file import GraphOutline
from benchmark.graph.shape import Shape, number_of_edges

ARROW = "->"


@dataclass(frozen=True)
class Stage:
    """A run of neighbouring destinations that read the same first `n_sources` sources."""

    start: int
    stop: int
    n_sources: int

    @property
    def destinations(self) -> slice:
        """The destinations as a slice of the destination axis."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class ComputationalGraph:
    """The graph of a model with `n_layers` layers of `n_heads` heads and one MLP each."""

    n_layers: int
    n_heads: int
    parallel: bool = False

    @classmethod
    def of(cls, shape: Shape) -> "ComputationalGraph":
        """The graph of a model of this shape."""
        return cls(shape.n_layers, shape.n_heads, shape.parallel)

    @classmethod
    def of_outline(cls, outline: GraphOutline) -> "ComputationalGraph":
        """The graph that a file names."""
        return cls(outline.n_layers, outline.n_heads, outline.parallel)

    @property
    def outline(self) -> GraphOutline:
        """What a file says of the graph."""
        sizes = self.n_layers, self.n_heads, self.parallel
        return GraphOutline(*sizes, self.sources, self.destinations)

    @property
    def n_sources(self) -> int:
        """Sources: one input, and per layer its heads and one MLP."""
        return 1 + self.n_layers * (self.n_heads + 1)

    @property
    def n_destinations(self) -> int:
        """Destinations: per layer three per head and one MLP, and the logits."""
        return self.n_layers * (3 * self.n_heads + 1) + 1

    @property
    def n_edges(self) -> int:
        """Edges of the whole graph."""
        return number_of_edges(self.n_layers, self.n_heads, self.parallel)

    def head_source(self, layer: int) -> int:
        """The source index of a layer's first head; its other heads follow."""
        return 1 + layer * (self.n_heads + 1)

    def mlp_source(self, layer: int) -> int:
        """The source index of a layer's MLP."""
        return self.head_source(layer) + self.n_heads

    def qkv_stage(self, layer: int) -> Stage:
        """All readers of a layer's attention: q of every head, then k, then v."""
        start = layer * (3 * self.n_heads + 1)
        return Stage(start, start + 3 * self.n_heads, self.head_source(layer))

    def q_stage(self, layer: int) -> Stage:
        """The query readers of a layer."""
        qkv = self.qkv_stage(layer)
        return Stage(qkv.start, qkv.start + self.n_heads, qkv.n_sources)

    def kv_stage(self, layer: int) -> Stage:
        """The key readers of a layer, then its value readers."""
        qkv = self.qkv_stage(layer)
        return Stage(qkv.start + self.n_heads, qkv.stop, qkv.n_sources)

    def mlp_stage(self, layer: int) -> Stage:
        """The reader of a layer's MLP."""
        start = self.qkv_stage(layer).stop
        own_heads = 0 if self.parallel else self.n_heads
        return Stage(start, start + 1, self.head_source(layer) + own_heads)

    def logits_stage(self) -> Stage:
        """The reader of the final residual stream."""
        return Stage(self.n_destinations - 1, self.n_destinations, self.n_sources)

    def stages(self) -> Iterator[Stage]:
        """All stages in order of execution."""
        for layer in range(self.n_layers):
            yield self.qkv_stage(layer)
            yield self.mlp_stage(layer)
        yield self.logits_stage()

    @cached_property
    def exists(self) -> Bool[Tensor, "src dst"]:
        """Which edges exist."""
        exists = torch.zeros(self.n_sources, self.n_destinations, dtype=torch.bool)
        for stage in self.stages():
            exists[: stage.n_sources, stage.destinations] = True
        return exists

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Source names in order."""
        names = ["input"]
        for layer in range(self.n_layers):
            names += [f"a{layer}.h{head}" for head in range(self.n_heads)] + [f"m{layer}"]
        return tuple(names)

    @cached_property
    def destinations(self) -> tuple[str, ...]:
        """Destination names in order."""
        names = []
        for layer in range(self.n_layers):
            names += [
                f"a{layer}.h{head}<{letter}>" for letter in "qkv" for head in range(self.n_heads)
            ]
            names.append(f"m{layer}")
        return (*names, "logits")

    @cached_property
    def source_index(self) -> dict[str, int]:
        """Source name to index."""
        return {name: index for index, name in enumerate(self.sources)}

    @cached_property
    def destination_index(self) -> dict[str, int]:
        """Destination name to index."""
        return {name: index for index, name in enumerate(self.destinations)}

    @cached_property
    def writer_of(self) -> tuple[int | None, ...]:
        """For each destination, the source that it feeds: its own head or MLP; None for logits."""
        names = (name.split("<")[0] for name in self.destinations[:-1])
        return (*(self.source_index[name] for name in names), None)

    def edge(self, name: str) -> tuple[int, int]:
        """The (source, destination) indices of an edge named like `a0.h1->a1.h2<k>`.

        Raises:
            UserError: the text is not an edge of this graph.
        """
        source, arrow, destination = name.partition(ARROW)
        if not arrow:
            raise UserError(f"{name!r} is not an edge; write source->destination, as input->logits")
        u = _lookup(source, self.source_index, "source")
        v = _lookup(destination, self.destination_index, "destination")
        if not self.exists[u, v]:
            raise UserError(f"{name!r} is not an edge: {destination} is computed before {source}")
        return u, v

    def edge_name(self, source: int, destination: int) -> str:
        """The name of the edge between two indices."""
        return f"{self.sources[source]}{ARROW}{self.destinations[destination]}"


def _lookup(name: str, index: dict[str, int], what: str) -> int:
    if name not in index:
        raise UserError(
            f"{name!r} is not a {what} of this graph{near(name, index)}; {what}s run from "
            f"{next(iter(index))!r} to {next(reversed(index))!r}"
        )
    return index[name]

"""The nodes of one kind in a model: attention sites, neurons, or both, at each position or at all.

A node is a site's activation of one head, or one neuron, at one position of the prompt (Kramar et
al. 2024, arXiv 2403.00745, section 2); aggregated, it is that of all positions together. Keys and
values of grouped-query attention belong to a key-value head, which several query heads share.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.effects.nodes.names import node_name
from benchmark.graph.shape import Shape
from benchmark.transformer.sites import ATTENTION, Site

# Which nodes of a layer and site are patched: an axis of size 1 stands for all.
Patches = dict[tuple[int, Site], Bool[Tensor, "units some_rows some_prompts some_pos"]]


class NodeKind(Enum):
    """Which nodes: queries, keys, values and outputs of heads, neurons of MLPs, or both."""

    attention = "attention"
    neurons = "neurons"
    all = "all"

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites of a block, in the order of execution."""
        attention = () if self is NodeKind.neurons else ATTENTION
        return attention if self is NodeKind.attention else (*attention, Site.neuron)


class NodePositions(Enum):
    """Whether each position of a prompt has nodes of its own, or all are patched together."""

    each = "each"
    all = "all"


@dataclass(frozen=True)
class Nodes:
    """All nodes of one kind, in order of layer, site, unit (head or neuron) and position.

    Attributes:
        kind: which sites.
        shape: the model's sizes.
        n_positions: positions that have nodes of their own; 1 if they are aggregated.
    """

    kind: NodeKind
    shape: Shape
    n_positions: int

    def __len__(self) -> int:
        """Nodes."""
        return self.shape.n_layers * self._per_layer

    def units(self, site: Site) -> int:
        """Heads or neurons of a layer at a site."""
        shape = self.shape
        if site is Site.neuron:
            return shape.d_mlp
        return shape.n_key_value_heads if site in (Site.k, Site.v) else shape.n_heads

    def places(self) -> Iterator[tuple[int, Site, slice]]:
        """Every layer and site, with the nodes that are there."""
        start = 0
        for layer in range(self.shape.n_layers):
            for site in self.kind.sites:
                stop = start + self.units(site) * self.n_positions
                yield layer, site, slice(start, stop)
                start = stop

    def of_layer(self, layer: int) -> slice:
        """The nodes of a layer."""
        return slice(layer * self._per_layer, (layer + 1) * self._per_layer)

    def patches(self, chosen: Bool[Tensor, "rows prompts nodes"], device: torch.device) -> Patches:
        """Which activations sets of nodes are; the axes of rows and prompts may be of size 1.

        Sets that lie on the CPU are looked at there, so that no GPU is waited for.
        """
        found, moved = {}, chosen.to(device)
        for layer, site, where in self.places():
            if bool(chosen[..., where].any()):
                part = moved[..., where]
                rows, prompts, _ = part.shape
                units = part.reshape(rows, prompts, self.units(site), self.n_positions)
                found[layer, site] = units.permute(2, 0, 1, 3)
        return found

    def joined(self, of_places: list[Tensor]) -> Float[Tensor, "*rows nodes"]:
        """Numbers of all places, each [*rows, units, pos], as numbers of all nodes."""
        return torch.cat([x.flatten(-2) for x in of_places], -1)

    @cached_property
    def description(self) -> dict[str, Int[Tensor, " nodes"]]:
        """The layer, site (its number among q, k, v, z, n), unit and position of every node."""
        parts: dict[str, list[Tensor]] = {"layer": [], "site": [], "unit": [], "position": []}
        for layer, site, where in self.places():
            count = where.stop - where.start
            index = torch.arange(count)
            unit, position = index // self.n_positions, index % self.n_positions
            parts["layer"].append(torch.full((count,), layer))
            parts["site"].append(torch.full((count,), list(Site).index(site)))
            parts["unit"].append(unit)
            parts["position"].append(position)
        return {name: torch.cat(found) for name, found in parts.items()}

    def name(self, node: int) -> str:
        """A node in words: `a3.h1<q>@12`, `m2.n17@5`; without a position if aggregated."""
        layer, site, unit, position = (int(x[node]) for x in self.description.values())
        return node_name(layer, site, unit, None if self.n_positions == 1 else position)

    @property
    def _per_layer(self) -> int:
        return self.n_positions * sum(map(self.units, self.kind.sites))

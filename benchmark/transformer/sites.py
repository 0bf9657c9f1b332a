"""The places inside a block whose activations are nodes: queries, keys, values, outputs, neurons.

A query or key is what enters the product of attention (after rotary embedding and any norm of its
own), an output is a head's activation before W_O, a neuron the activation that W_out reads (of a
gated MLP, the product). These are the nodes of Kramar et al. (2024, arXiv 2403.00745, section 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

# Heads' activations are [heads, rows, batch, pos, d_head], those of neurons [1, rows, batch, pos,
# d_mlp]; in the last layer all but keys and values may be at the read positions alone.


class Site(Enum):
    """A place inside a block."""

    q = "q"
    k = "k"
    v = "v"
    z = "z"
    neuron = "n"


ATTENTION = (Site.q, Site.k, Site.v, Site.z)
# What a block does with an activation before it goes on.
AtSite = Callable[[Site, Tensor], Tensor]
# The same for a whole pass: layer, site, activation.
AtLayerSite = Callable[[int, Site, Tensor], Tensor]


def untouched(site: Site, activation: Tensor) -> Tensor:
    """The activation as it is."""
    return activation


def untouched_everywhere(layer: int, site: Site, activation: Tensor) -> Tensor:
    """The activation as it is, in every layer."""
    return activation


@dataclass(frozen=True, eq=False)
class SiteValues:
    """The activations of a pass at every site of every layer, all positions."""

    layers: tuple[dict[Site, Tensor], ...]

    def map(self, change: Callable[[Tensor], Tensor]) -> "SiteValues":
        """The values after the same change to each of them."""
        return SiteValues(
            tuple({site: change(x) for site, x in layer.items()} for layer in self.layers)
        )

    def with_first_of(self, other: "SiteValues") -> "SiteValues":
        """The values, but at position 0 those of another pass."""

        def replaced(mine: Tensor, theirs: Tensor) -> Tensor:
            return torch.cat([theirs[..., :1, :], mine[..., 1:, :]], -2)

        pairs = zip(self.layers, other.layers, strict=True)
        return SiteValues(
            tuple(
                {site: replaced(mine[site], theirs[site]) for site in mine}
                for mine, theirs in pairs
            )
        )

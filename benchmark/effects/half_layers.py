"""The clean pass in half layers, attention and MLP, each with an autograd graph of its own.

A gradient that arrives behind a half layer can so be sent through it again and again: every row
of gradients is one way of cutting the layers above. The stream's gradient is the driver's to add
up (nodes/first_order.py), since a cut leaves the skip connection alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.forward.layers import embedded, positions_of, unembedded
from benchmark.forward.streams import PlainStream
from benchmark.forward.values import at_positions
from benchmark.meter import count_passes
from benchmark.metric import Objective
from benchmark.prompts.batch import Batch
from benchmark.transformer import blocks
from benchmark.transformer.kernels import project_heads
from benchmark.transformer.sites import Site, SiteValues
from benchmark.transformer.transformer import Transformer

Stream = Float[Tensor, "1 1 batch pos d_model"]


@dataclass(frozen=True, eq=False)
class HalfLayer:
    """The attention or the MLP of a layer, recorded at the clean prompts.

    Attributes:
        layer: which layer.
        x: the residual stream that it reads, a leaf of its graph.
        out: what it adds to the stream.
        sites: its activations, on the way from `x` to `out`.
    """

    layer: int
    x: Stream
    out: Stream
    sites: dict[Site, Tensor]

    def pull_back(self, gradient: Stream) -> tuple[Stream, dict[Site, Tensor]]:
        """Gradients at the input and at every site, from one at what the half layer adds."""
        found = torch.autograd.grad(
            self.out, [self.x, *self.sites.values()], gradient, retain_graph=True
        )
        return found[0], dict(zip(self.sites, found[1:], strict=True))


@dataclass(frozen=True, eq=False)
class RecordedPass:
    """A clean pass, half layer by half layer.

    Attributes:
        halves: attention and MLP of each layer in turn.
        logits: at the read positions.
        arrived: the gradient of the summed objective at the final residual stream.
    """

    halves: tuple[HalfLayer, ...]
    logits: Float[Tensor, "batch vocab"]
    arrived: Stream

    @property
    def sites(self) -> SiteValues:
        """The clean activations, without their graphs."""
        pairs = zip(self.halves[::2], self.halves[1::2], strict=True)
        return SiteValues(
            tuple(
                {site: x.detach() for half in pair for site, x in half.sites.items()}
                for pair in pairs
            )
        )


def recorded_pass(model: Transformer, batch: Batch, objective: Objective) -> RecordedPass:
    """Run the clean prompts, and the way back to behind the last layer; one device holds all."""
    x = embedded(model, batch.clean)[None, None]
    positions = positions_of(model, batch.clean)
    halves: list[HalfLayer] = []
    for layer in range(model.shape.n_layers):
        attention = _attention(model, layer, x, positions)
        before_mlp = x if model.graph.parallel else x + attention.out.detach()
        mlp = _mlp(model, layer, before_mlp)
        halves += [attention, mlp]
        x = x + attention.out.detach() + mlp.out.detach()
    final = x.requires_grad_()
    logits = unembedded(model, at_positions(final, batch.read_at[:, None]))[0, 0, :, 0]
    count_passes(logits, len(batch))
    total = objective(logits, batch, logits.detach()).sum()
    (arrived,) = torch.autograd.grad(total, final)
    return RecordedPass(tuple(halves), logits.detach(), arrived)


def output_gradients(
    model: Transformer, passed: RecordedPass
) -> Iterator[tuple[int, Float[Tensor, "heads 1 batch pos d_head"]]]:
    """Each layer with the gradient of the summed objective at its heads' outputs, last first."""
    arrived = passed.arrived
    for layer in reversed(range(model.shape.n_layers)):
        attention, mlp = passed.halves[2 * layer : 2 * layer + 2]
        through_mlp = mlp.pull_back(arrived)[0]
        between = arrived if model.graph.parallel else arrived + through_mlp
        through_attention, sites = attention.pull_back(between)
        yield layer, sites[Site.z]
        arrived = arrived + through_mlp + through_attention


def _attention(model: Transformer, layer: int, x: Stream, positions: blocks.Positions) -> HalfLayer:
    block, sites = model.weights.layers[layer].attention, {}
    x = x.detach().requires_grad_()
    q, k, v = project_heads(block.norm(x), *block.projections)
    z = blocks.attention(block, q, k, v, positions, _keeping(sites))
    stream = PlainStream(torch.zeros_like(x))
    stream.write_heads(layer, z, block)
    return HalfLayer(layer, x, stream.x, sites)


def _mlp(model: Transformer, layer: int, x: Stream) -> HalfLayer:
    sites: dict[Site, Tensor] = {}
    x = x.detach().requires_grad_()
    out = blocks.mlp(model.weights.layers[layer].mlp, x, _keeping(sites))
    return HalfLayer(layer, x, out, sites)


def _keeping(sites: dict[Site, Tensor]) -> blocks.AtSite:
    def at(site: Site, activation: Tensor) -> Tensor:
        sites[site] = activation
        return activation

    return at

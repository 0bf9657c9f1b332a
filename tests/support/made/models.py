"""Models in which a part of the answer is known: linear ones, and nodes that write nothing."""

from dataclasses import replace

import torch
from torch import Tensor

from benchmark.graph.graph import ComputationalGraph
from benchmark.models.parts import no_norm
from benchmark.transformer.transformer import Transformer


def linear(model):
    """The model without norms and activations, and with even attention."""
    none = no_norm(model.weights.W_U)
    layers = tuple(
        replace(
            layer,
            attention=replace(
                layer.attention, norm=none, W_Q=torch.zeros_like(layer.attention.W_Q), b_Q=None
            ),
            mlp=replace(layer.mlp, norm=none, activation=lambda x: x),
        )
        for layer in model.weights.layers
    )
    weights = replace(model.weights, layers=layers, final_norm=none)
    return Transformer(weights, model.shape, model.dtype, model.device)


def edges_of_silent_nodes(graph: ComputationalGraph) -> Tensor:
    """The edges that do nothing in the `planted` model: of nodes that write nothing."""
    silent = {"a0.h1", "a1.h1", "m0"}
    out = torch.tensor([name in silent for name in graph.sources])
    into = torch.tensor([name.split("<")[0] in silent for name in graph.destinations])
    return (out[:, None] | into) & graph.exists

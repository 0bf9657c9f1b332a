"""Masks and values drawn at random, what the corrupted prompts give, and how far tensors are."""

from dataclasses import replace

import torch
from torch import Tensor

from benchmark.forward.passes import source_values
from benchmark.forward.values import SourceValues
from benchmark.graph.graph import ComputationalGraph
from benchmark.prompts.batch import Batch
from benchmark.seeds import generator
from benchmark.transformer.transformer import Transformer


def random_masks(
    graph: ComputationalGraph, n_masks: int, *, binary: bool = False, seed: int = 0
) -> Tensor:
    draw = generator(seed, "test masks")
    shape = n_masks, graph.n_sources, graph.n_destinations
    values = torch.rand(shape, generator=draw, dtype=torch.float64)
    values = (values > 0.5).double() if binary else values
    return values * graph.exists


def random_values(
    model: Transformer, rows: tuple[int, int, int], *, keep_first: bool = True, seed: int = 0
) -> SourceValues:
    draw = generator(seed, "test values")
    shape = model.shape

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=draw, dtype=torch.float64)

    return SourceValues(
        input=normal(*rows, shape.d_model),
        heads=normal(shape.n_layers, shape.n_heads, *rows, shape.d_head),
        mlps=normal(shape.n_layers, *rows, shape.d_model),
        keep_first=keep_first,
    )


def counterfactual(model: Transformer, batch: Batch, keep_first: bool = False) -> SourceValues:
    return replace(source_values(model, batch.corrupted), keep_first=keep_first)


def largest(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())


def random_neurons(model, *rows, seed=0):
    draw = torch.Generator().manual_seed(seed)
    shape = *rows, model.graph.n_sources, model.shape.d_model
    return torch.rand(shape, generator=draw, dtype=torch.float64)
